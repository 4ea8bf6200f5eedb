"""Proposals: the same boxes in every run, inside the picture, cached; their file; their recall."""

import csv
import signal
import subprocess
import sys
import textwrap

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segrepro.cli import main
from segrepro.config.proposals import METHODS, ProposalRecall
from segrepro.data import proposal_methods
from segrepro.data.boxes import overlaps, tight_boxes
from segrepro.data.masks import write_mask
from segrepro.data.proposal_methods import proposal_method
from segrepro.data.proposal_recall import best_overlaps, recall_table
from segrepro.data.proposal_search import find_proposals
from segrepro.errors import UserError
from segrepro.stores.manifests import Example, read_manifest, write_manifest
from segrepro.stores.proposals import ProposalReader, ProposalWriter

SEARCH = {"min_side": 4}
SOBEL = {"edges": "sobel", "min_side": 4, "min_box_area": 50}
BY_METHOD = [("selective_search", SEARCH), ("edge_boxes", SOBEL)]


def scene(seed=0, height=60, width=80):
    """A picture of noisy ground with two flat rectangles, and its instance mask."""
    random = np.random.default_rng(seed)
    picture = random.integers(90, 110, (height, width, 3), np.uint8)
    instances = np.zeros((height, width), np.uint8)
    for number, (left, colour) in enumerate([(8, (220, 30, 30)), (46, (20, 40, 200))], start=1):
        top = 8 + int(random.integers(0, 10))
        picture[top : top + 30, left : left + 24] = colour
        instances[top : top + 30, left : left + 24] = number
    return picture, instances


def dataset(folder, count=3):
    """A dataset folder of scenes, with instances, and the examples of its manifest."""
    examples = []
    for name in ("images", "masks", "instances"):
        (folder / name).mkdir(parents=True)
    for seed in range(count):
        picture, instances = scene(seed)
        example = Example(f"p{seed}", folder / f"images/p{seed}.jpg", folder / f"masks/p{seed}.png")
        Image.fromarray(picture).save(example.image, quality=95)
        write_mask(example.mask, (instances > 0).astype(np.uint8))
        write_mask(folder / f"instances/p{seed}.png", instances)
        examples.append(example)
    return examples


def method(name, options=None):
    """A method by its name, settings and files."""
    files = {key: value for key, value in (options or {}).items() if key in ("model", "edges")}
    settings = {key: value for key, value in (options or {}).items() if key not in files}
    return proposal_method(METHODS[name](**settings), **files)


def find(name, options, picture, seed=0):
    return method(name, options).find(picture, id="p", seed=seed)


def forest(path, *, bins=(0, 1, 2, 3)):
    """A structured forest of one leaf, which sees the same edges everywhere."""
    text = proposal_methods.TREELESS_FOREST
    for key, values in {
        "childs": [0],
        "featureIds": [0],
        "thresholds": [0.0],
        "edgeBoundaries": [0, len(bins), len(bins)],
        "edgeBins": bins,
    }.items():
        text = text.replace(f"{key}: []", f"{key}:\n  - [{', '.join(map(str, values))}]")
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "options"), BY_METHOD)
def test_boxes_are_inside_the_picture_large_enough_each_once_and_find_the_objects(name, options):
    picture, instances = scene()
    boxes = find(name, options, picture)
    assert boxes.dtype == np.int32
    assert (boxes >= 0).all()
    assert (boxes <= [80, 60, 80, 60]).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 4).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    objects = np.array(list(tight_boxes(instances).values()))
    assert (overlaps(objects, boxes).max(axis=1) > 0.6).all()


@pytest.mark.parametrize(("name", "options"), BY_METHOD)
def test_the_most_boxes_are_the_best_ones_in_rank_order(name, options):
    picture, _ = scene()
    boxes = find(name, options, picture)
    assert len(boxes) > 3
    np.testing.assert_array_equal(find(name, options | {"max_boxes": 3}, picture), boxes[:3])


@pytest.mark.parametrize(("name", "options"), BY_METHOD)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3), (30, 30)])
def test_pictures_too_small_or_of_one_colour_have_at_most_one_box(name, options, shape):
    boxes = find(name, options, np.full((*shape, 3), 77, np.uint8))
    assert boxes.shape in ((0, 4), (1, 4))
    assert boxes.dtype == np.int32


def test_selective_search_does_not_depend_on_the_state_of_c_rand_but_on_its_seed():
    picture, _ = scene()
    first = find("selective_search", SEARCH, picture)
    np.testing.assert_array_equal(first, find("selective_search", SEARCH, picture))
    other = find("selective_search", SEARCH, picture, seed=1)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(np.unique(first, axis=0), np.unique(other, axis=0))


def test_quality_finds_more_boxes_than_fast():
    picture, _ = scene()
    fast, quality = (find("selective_search", SEARCH | {"strategy": s}, picture) for s in ("fast", "quality"))
    assert len(quality) > len(fast)


boxes_of_a_picture = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20)), max_size=12
).map(lambda rows: np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.int64).reshape(-1, 4))


def iou_by_pixels(a, b):
    """Count the pixels of two boxes on a canvas."""
    canvas = np.zeros((2, 60, 60), bool)
    for plane, (x1, y1, x2, y2) in zip(canvas, (a, b), strict=True):
        plane[y1:y2, x1:x2] = True
    return (canvas[0] & canvas[1]).sum() / (canvas[0] | canvas[1]).sum()


@given(boxes=boxes_of_a_picture, iou=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
@settings(max_examples=40, deadline=None)
def test_near_duplicates_go_behind_all_others_and_none_is_lost(boxes, iou):
    ordered = proposal_methods._near_duplicates_last(boxes, iou, 100)
    kept = []
    for box in boxes.tolist():
        if all(iou_by_pixels(box, other) <= iou for other in kept):
            kept.append(box)
    if iou < 1:
        assert ordered[: len(kept)].tolist() == kept
    assert sorted(ordered.tolist()) == sorted(boxes.tolist())


@given(
    objects=boxes_of_a_picture, boxes=boxes_of_a_picture, counts=st.lists(st.integers(1, 20), min_size=1, max_size=3)
)
@settings(max_examples=40, deadline=None)
def test_best_overlaps_are_those_of_a_count_of_pixels(objects, boxes, counts):
    expected = [
        [max((iou_by_pixels(o, b) for b in boxes[:count].tolist()), default=0) for count in counts]
        for o in objects.tolist()
    ]
    np.testing.assert_allclose(best_overlaps(objects, boxes, counts), np.reshape(expected, (len(objects), len(counts))))


def orientation(edges):
    """The orientation of edges as EdgeBoxes' release computes it (convTri, second differences), in numpy."""
    triangle = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25
    smooth = np.pad(edges, 4, mode="reflect")
    for axis in (0, 1):
        smooth = np.apply_along_axis(lambda line: np.convolve(line, triangle, "valid"), axis, smooth)
    second = {key: cv2.Sobel(smooth, -1, *key) for key in ((2, 0), (1, 1), (0, 2))}
    return np.mod(np.arctan(second[0, 2] * np.sign(-second[1, 1]) / (second[2, 0] + 1e-5)), np.pi)


def test_orientation_of_the_treeless_forest_is_the_releases():
    edges = cv2.GaussianBlur(np.random.default_rng(0).random((40, 50)), (9, 9), 2)
    computed = proposal_methods._edge_detector(None).computeOrientation(edges.astype(np.float32))
    difference = np.abs(computed - orientation(edges))
    assert np.mean(np.minimum(difference, np.pi - difference) < 1e-2) > 0.99


def test_edge_boxes_count_pixels_from_zero_and_reach_both_borders():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    boxes = find("edge_boxes", SOBEL | {"beta": 0.95, "min_score": 0}, noise)
    assert boxes[:, :2].min(axis=0).tolist() == [0, 0]
    assert boxes[:, 2:].max(axis=0).tolist() == [80, 60]


def test_gradient_edges_are_strongest_at_the_step_and_nil_without_one():
    picture = np.zeros((20, 30, 3), np.uint8)
    assert not proposal_methods.gradient_edges(picture + 130).any()
    picture[:, 15:, 2] = 60
    edges = proposal_methods.gradient_edges(picture)
    assert edges.dtype == np.float32
    assert edges.max() == 1
    assert set(edges.argmax(axis=1)) <= {14, 15}


def test_edge_maps_of_a_folder_take_the_place_of_gradients(tmp_path):
    (example, *_) = dataset(tmp_path / "set", 1)
    picture = np.asarray(Image.open(example.image))
    edges = np.rint(proposal_methods.gradient_edges(picture) * 255).astype(np.uint8)
    (tmp_path / "edges").mkdir()
    write_mask(tmp_path / "edges" / "p0.png", edges)
    np.testing.assert_allclose(
        proposal_methods.read_edges(tmp_path / "edges" / "p0.png", (60, 80)), edges / 255, atol=1e-6
    )
    options = SOBEL | {"edges": str(tmp_path / "edges")}
    for cache_round in range(2):
        summary = find_proposals(
            [example], tmp_path / "m.h5", method=method("edge_boxes", options), cache=tmp_path / "c"
        )
        assert summary["cached"] == cache_round
    with ProposalReader(tmp_path / "m.h5") as reader:
        assert len(reader.boxes("p0")) > 3
        assert reader.settings["edges"] == "maps"
    write_mask(tmp_path / "edges" / "p0.png", np.zeros_like(edges))  # other edges, other boxes
    summary = find_proposals([example], tmp_path / "m.h5", method=method("edge_boxes", options), cache=tmp_path / "c")
    assert summary == {"pictures": 1, "boxes": 0, "without_boxes": 1, "cached": 0}


def test_edges_of_a_structured_forest_are_used_and_its_digest_recorded(tmp_path):
    paths = [forest(tmp_path / "a.yml"), forest(tmp_path / "b.yml", bins=(0, 1, 16, 17, 255))]
    picture, _ = scene()
    methods = [method("edge_boxes", {"model": path}) for path in paths]
    for path, with_forest in zip(paths, methods, strict=True):
        expected = cv2.ximgproc.createStructuredEdgeDetection(str(path)).detectEdges(picture.astype(np.float32) / 255)
        edges = with_forest._edges(picture, "p", proposal_methods._edge_detector(str(path)))
        assert edges.any()
        np.testing.assert_array_equal(edges, expected)
        with_forest.find(picture, id="p", seed=0)
    digests = [each.described()["model"] for each in methods]
    assert len(set(digests)) == 2
    assert all(len(digest) == 64 for digest in digests)


def test_the_file_is_the_same_for_any_number_of_processes_and_order_of_rows(tmp_path):
    examples = dataset(tmp_path / "set")
    for name, options in BY_METHOD:
        written = []
        for threads, rows in ((1, examples), (2, examples[::-1] + examples[:1])):
            out = tmp_path / f"{name}{threads}.h5"
            summary = find_proposals(rows, out, method=method(name, options), threads=threads)
            assert summary["pictures"] == 3
            written.append(out.read_bytes())
        assert written[0] == written[1]


def test_a_run_goes_on_from_the_cache_and_damaged_entries_are_made_again(tmp_path, monkeypatch):
    examples, cache, out = dataset(tmp_path / "set"), tmp_path / "cache", tmp_path / "p.h5"
    calls, original = [], proposal_methods.SelectiveSearchMethod.find

    def counted(self, picture, *, id, seed):
        if len(calls) == 2 and not out.exists() and not resumed:
            raise KeyboardInterrupt
        calls.append(id)
        return original(self, picture, id=id, seed=seed)

    monkeypatch.setattr(proposal_methods.SelectiveSearchMethod, "find", counted)
    resumed = False
    run = {"method": method("selective_search", SEARCH), "cache": cache}
    with pytest.raises(KeyboardInterrupt):
        find_proposals(examples, out, **run)
    assert calls == ["p0", "p1"]
    assert not out.exists()
    resumed = True
    assert find_proposals(examples, out, **run)["cached"] == 2
    assert calls == ["p0", "p1", "p2"]
    first = out.read_bytes()

    entries = sorted(cache.rglob("*.npy"))
    assert len(entries) == 3
    entries[0].write_bytes(entries[0].read_bytes()[:-3])
    entries[1].write_bytes(b"")
    assert find_proposals(examples, out, **run)["cached"] == 1
    assert out.read_bytes() == first

    other = {"method": method("selective_search", SEARCH | {"base_k": 100})}
    assert find_proposals(examples, out, **(run | other))["cached"] == 0
    find_proposals(examples, tmp_path / "plain.h5", method=method("selective_search", SEARCH))
    assert (tmp_path / "plain.h5").read_bytes() == first


def test_a_run_killed_outright_leaves_no_file_and_goes_on(tmp_path):
    examples = dataset(tmp_path / "set", 4)
    write_manifest(tmp_path / "m.csv", examples)
    program = f"""
        import os, signal
        from pathlib import Path
        from segrepro.data import proposal_search
        from segrepro.cli import main
        decode, seen = proposal_search.read_rgb, []
        def dying(content, name):
            seen.append(name)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return decode(content, name=name)
        proposal_search.read_rgb = dying
        main({["proposals", "--manifest", "m.csv", "--method", "selective_search", "--out", "p.h5", "--cache", "c"]!r})
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=tmp_path, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "p.h5").exists()
    summary = find_proposals(examples, tmp_path / "p.h5", method=method("selective_search"), cache=tmp_path / "c")
    assert summary["cached"] == 2


def test_boxes_come_back_as_written_also_none(tmp_path):
    boxes = np.array([[0, 0, 5, 6], [1, 2, 3, 4]])
    for path in (tmp_path / "a.h5", tmp_path / "b.h5"):
        with ProposalWriter(path, method="hand", settings={"x": 1}) as writer:
            writer.add("b", boxes)
            writer.add("a", np.empty((0, 4), np.int64))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with ProposalReader(tmp_path / "a.h5") as reader:
        assert (reader.ids, reader.method, reader.settings) == (["a", "b"], "hand", {"x": 1})
        np.testing.assert_array_equal(reader.boxes("b"), boxes)
        assert reader.boxes("b").dtype == reader.boxes("a").dtype == np.int32
        assert reader.boxes("a").shape == (0, 4)
        with pytest.raises(UserError, match="picture 'c' is not among its 2 pictures"):
            reader.boxes("c")


@pytest.mark.parametrize(
    ("id", "boxes", "message"),
    [
        ("a/b", [[0, 0, 1, 1]], "plain name"),
        ("a", [[0, 0, 1, 1]], "added twice"),
        ("b", [[0.0, 0.0, 1.0, 1.0]], "give integers"),
        ("b", [0, 0, 1, 1], "give integers"),
        ("b", [[0, 0, 0, 1]], "empty or leaves"),
        ("b", [[-1, 0, 3, 1]], "empty or leaves"),
    ],
)
def test_the_writer_refuses_what_is_no_proposal_and_leaves_no_file(tmp_path, id, boxes, message):
    def write():
        with ProposalWriter(tmp_path / "p.h5", method="m", settings={}) as writer:
            writer.add("a", np.array([[0, 0, 1, 1]]))
            writer.add(id, np.array(boxes))

    with pytest.raises(UserError, match=message):
        write()
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (np.zeros((2, 5), np.int32), r"boxes of shape \(2, 5\)"),
        (np.array([[0.0, 0, 3, np.nan]]), "type float64"),
        (np.array([[3, 0, 3, 9]]), "empty or leaves the picture"),
        (np.array([[-1, 0, 3, 9]]), "empty or leaves the picture"),
        (None, "boxes of shape"),
    ],
)
def test_boxes_that_others_wrote_are_checked_like_those_that_are_written(tmp_path, boxes, message):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.attrs.update({"format_version": 1, "method": "theirs", "settings": "{}"})
        pictures = file.create_group("pictures")
        pictures.create_group("a") if boxes is None else pictures.create_dataset("a", data=boxes)
    with (
        ProposalReader(tmp_path / "p.h5") as reader,
        pytest.raises(UserError, match=rf"p\.h5: picture 'a' .*{message}"),
    ):
        reader.boxes("a")


def test_an_empty_missing_foreign_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "p.h5"
    with pytest.raises(UserError, match="no picture was added"), ProposalWriter(path, method="m", settings={}):
        pass
    with pytest.raises(UserError, match="no such proposals file"):
        ProposalReader(path)
    path.write_bytes(b"not HDF5")
    with pytest.raises(UserError, match="damaged, truncated or not"):
        ProposalReader(path)
    with h5py.File(path, "w") as file:
        file.attrs["format_version"] = 1
    with pytest.raises(UserError, match="attribute 'method' is missing"):
        ProposalReader(path)
    with ProposalWriter(path, method="m", settings={}) as writer:
        writer.add("a", np.array([[0, 0, 1, 1]]))
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(UserError, match="format 99"):
        ProposalReader(path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("selective_search", {"edges": "sobel"}, "selective_search: takes neither model nor edges"),
        ("edge_boxes", {}, "give either model"),
        ("edge_boxes", {"model": "m", "edges": "sobel"}, "give either model"),
        ("edge_boxes", {"edges": "nowhere"}, "nowhere: no such folder of edge maps"),
        ("edge_boxes", {"model": "nowhere.yml.gz"}, "nowhere.yml.gz: no such model file"),
    ],
)
def test_files_that_are_missing_or_too_many_are_named(name, options, message):
    with pytest.raises(UserError, match=message):
        method(name, options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "magic"], "--method is magic; give selective_search or edge_boxes"),
        (["--method", "selective_search", "--alpha", "0.5"], "--alpha is no setting of selective_search; leave it out"),
        (["--method", "edge_boxes", "--strategy", "fast"], "--strategy is no setting of edge_boxes; leave it out"),
        (["--method", "selective_search", "--strategy", "slow"], "--strategy is slow; give fast or quality"),
        (["--method", "selective_search", "--max-boxes", "0"], "--max-boxes is 0; give a whole number from 1"),
        (["--method", "selective_search", "--near-duplicate-iou", "nan"], "--near-duplicate-iou is nan; give a number"),
        (["--method", "edge_boxes", "--edges", "sobel", "--alpha", "1"], "--alpha is 1.0; give a number from 0.01 to"),
    ],
)
def test_the_verb_names_a_wrong_method_or_setting(tmp_path, options, message):
    write_manifest(tmp_path / "m.csv", dataset(tmp_path / "set", 1))
    with pytest.raises(SystemExit, match=f"^segrepro proposals: {message}"):
        main(["proposals", "--manifest", str(tmp_path / "m.csv"), "--out", str(tmp_path / "p.h5"), *options])
    assert not (tmp_path / "p.h5").exists()


@pytest.mark.parametrize(
    "content", ["", "no model", "%YAML:1.0\n---\noptions: {a: 1}\n", proposal_methods.TREELESS_FOREST]
)
def test_a_file_that_is_no_forest_is_refused_before_opencv_crashes_on_it(tmp_path, content):
    (tmp_path / "m.yml").write_text(content)
    with pytest.raises(UserError, match=r"m\.yml: not a structured forest"):
        method("edge_boxes", {"model": tmp_path / "m.yml"})


def test_defaults_are_the_published_ones():
    section = METHODS["edge_boxes"]()
    published = {"alpha": 0.65, "beta": 0.75, "eta": 1, "min_score": 0.01, "search_boxes": 10_000}
    published |= {"min_box_area": 1000, "max_aspect_ratio": 3, "max_boxes": 2000}
    assert section.model_dump() == section.model_dump() | published
    search = cv2.ximgproc.createEdgeBoxes()
    assert section.edge_min_magnitude == pytest.approx(search.getEdgeMinMag())
    assert section.edge_merge_threshold == pytest.approx(search.getEdgeMergeThr())
    assert section.cluster_min_magnitude == pytest.approx(search.getClusterMinMag())
    assert (section.gamma, section.kappa) == pytest.approx((search.getGamma(), search.getKappa()))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_missing_damaged_or_ambiguous_picture_is_named_and_nothing_is_written(tmp_path, threads):
    examples, out = dataset(tmp_path / "set"), tmp_path / "p.h5"
    run = {"method": method("selective_search", SEARCH), "threads": threads}
    with pytest.raises(UserError, match="picture 'p0' comes with two files"):
        find_proposals([*examples, Example("p0", examples[1].image)], out, **run)
    examples[1].image.write_bytes(examples[1].image.read_bytes()[:200])
    with pytest.raises(UserError, match=r"p1\.jpg: not a picture or damaged"):
        find_proposals(examples, out, **run)
    examples[1].image.unlink()
    with pytest.raises(UserError, match=r"p1\.jpg: no such picture"):
        find_proposals(examples, out, **run)
    assert not out.exists()


def test_an_edge_map_that_is_missing_of_another_size_or_kind_is_named(tmp_path):
    examples, edges = dataset(tmp_path / "set", 1), tmp_path / "edges"
    edges.mkdir()

    def run():
        by_maps = method("edge_boxes", {"edges": edges})
        find_proposals(examples, tmp_path / "p.h5", method=by_maps, cache=tmp_path / "c")

    with pytest.raises(UserError, match=r"p0\.png: no such edge map"):
        run()
    write_mask(edges / "p0.png", np.zeros((80, 60), np.uint8))
    with pytest.raises(UserError, match="the edge map is 60 x 80 pixels and its picture 80 x 60"):
        run()
    Image.new("RGB", (80, 60)).save(edges / "p0.png")
    with pytest.raises(UserError, match="a PNG of mode RGB is no edge map"):
        run()
    (edges / "p0.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="the edge map cannot be read"):
        run()


def test_recall_counts_objects_not_pictures_and_a_picture_without_proposals_finds_none(tmp_path):
    examples = dataset(tmp_path / "set", 2)
    objects = np.array(list(tight_boxes(np.asarray(Image.open(tmp_path / "set/instances/p0.png"))).values()))
    with ProposalWriter(tmp_path / "p.h5", method="hand", settings={}) as writer:
        half = objects[1].copy()
        half[2] -= 12  # half of the second object: an IoU of 0.5
        writer.add("p0", np.array([[0, 0, 2, 2], objects[0], half]))
        writer.add("p1", np.empty((0, 4), np.int32))
    rows = [*examples, examples[0]]
    settings = ProposalRecall(counts=[1, 2, 50])
    table = recall_table(tmp_path / "p.h5", rows, settings)
    assert [row["recall"] for row in table] == [0, 0, 0.25, 0.25, 0.5, 0.25]
    assert [row["mean_best_overlap"] for row in table] == [0, 0, 0.25, 0.25, 0.375, 0.375]
    assert [row["boxes_per_picture"] for row in table] == [0.5, 0.5, 1, 1, 1.5, 1.5]
    assert {(row["objects"], row["pictures"]) for row in table} == {(4, 2)}
    assert recall_table(tmp_path / "p.h5", rows, settings, threads=2) == table


def test_recall_without_instances_mask_or_objects_is_refused(tmp_path):
    (example, *_) = dataset(tmp_path / "set", 1)
    with ProposalWriter(tmp_path / "p.h5", method="hand", settings={}) as writer:
        writer.add("p0", np.array([[0, 0, 2, 2]]))
    settings = ProposalRecall(counts=[1], ious=[0.5])
    write_mask(tmp_path / "set/instances/p0.png", np.full((60, 80), 255, np.uint8))
    with pytest.raises(UserError, match="hold no object"):
        recall_table(tmp_path / "p.h5", [example], settings)
    (tmp_path / "set/instances/p0.png").unlink()
    with pytest.raises(UserError, match="has no instance mask"):
        recall_table(tmp_path / "p.h5", [example], settings)
    with pytest.raises(UserError, match="has no mask"):
        recall_table(tmp_path / "p.h5", [Example("p0", example.image)], settings)


def test_verbs_write_proposals_and_their_recall(tmp_path, monkeypatch, capsys):
    write_manifest(tmp_path / "m.csv", dataset(tmp_path / "set", 2))
    monkeypatch.chdir(tmp_path)
    options = ["--min-side", "5", "--near-duplicate-iou", "0.8"]
    main(["proposals", "--manifest", "m.csv", "--method", "selective_search", "--out", "p.h5", *options])
    assert "boxes in 2 pictures (0 without any box, 0 from the cache)" in capsys.readouterr().out
    with ProposalReader("p.h5") as reader:
        assert reader.settings["near_duplicate_iou"] == 0.8
        assert reader.ids == [example.id for example in read_manifest("m.csv")]
    main(["proposal-recall", "--proposals", "p.h5", "--manifest", "m.csv", "--counts", "1", "99", "--out", "r.csv"])
    with (tmp_path / "r.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["proposals"], row["iou"]) for row in rows] == [
        ("1", "0.5"),
        ("1", "0.7"),
        ("99", "0.5"),
        ("99", "0.7"),
    ]
    assert rows[2]["recall"] == "1.0000"
    assert "proposals,iou,objects,recall" in capsys.readouterr().out
    for option, wrong in (("--counts", "0"), ("--ious", "0.0")):
        with pytest.raises(SystemExit, match=f"{option} is {wrong}; give"):
            main(["proposal-recall", "--proposals", "p.h5", "--manifest", "m.csv", option, wrong, "--out", "r.csv"])


def test_reading_and_searching_import_no_tensorflow():
    modules = "segrepro.data.proposal_search, segrepro.data.proposal_recall"
    program = f"import sys, {modules}; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_picture_that_opencv_refuses_is_named(tmp_path, monkeypatch):
    def refuse(*args, **options):
        cv2.cvtColor(np.empty((0, 0, 3), np.uint8), cv2.COLOR_RGB2GRAY)

    monkeypatch.setattr(proposal_methods.SelectiveSearchMethod, "find", refuse)
    with pytest.raises(UserError, match=r"p0\.jpg: selective_search cannot search this picture of 80 x 60 pixels"):
        find_proposals(dataset(tmp_path / "set", 1), tmp_path / "p.h5", method=method("selective_search"))


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (40, 5), (33, 31)])
def test_pictures_smaller_than_a_forests_patch_can_be_searched(tmp_path, shape):
    options = {"model": forest(tmp_path / "m.yml"), "min_box_area": 20, "min_side": 1}
    boxes = find("edge_boxes", options, np.zeros((*shape, 3), np.uint8))
    assert (boxes <= [*shape[::-1], *shape[::-1]]).all()
