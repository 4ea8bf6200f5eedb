"""The figure of proposals: what it shows, how pictures are chosen, same bytes every time, what it refuses."""

import numpy as np
import pytest
import yaml
from PIL import Image

from networks import built, spec_of
from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.labels import VOID, voc_palette
from segrepro.report.proposals_figure import draw_proposals, most_objects, proposals_row
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.proposals import ProposalWriter

NETWORK = {"architecture": "deconvnet", "backbone": "vgg_tiny", "input_size": 32, "fc_channels": 8}
HEIGHT, WIDTH = 30, 48
OBJECTS = {"p0": 1, "p1": 3, "p2": 0, "p3": 3}
BOXES = [[0, 0, 20, 20], [10, 5, 48, 30], [4, 4, 30, 30]]


@pytest.fixture(autouse=True)
def keep_tensorflow_as_it_is(monkeypatch):
    """The verbs size TensorFlow's thread pools, which a process can do only once."""
    monkeypatch.setattr("segrepro.training.devices.prepare_tensorflow", lambda *_, **__: None)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Four pictures with 1, 3, 0 and 3 objects, `val.csv`, a tiny DeconvNet with its spec, and proposals."""
    folder, random, examples = tmp_path_factory.mktemp("split"), np.random.default_rng(0), []
    for name in ("images", "masks", "instances"):
        (folder / name).mkdir()
    for id, count in OBJECTS.items():
        mask, instances = np.zeros((2, HEIGHT, WIDTH), np.uint8)
        for number in range(count):
            mask[5:25, 3 + 15 * number : 13 + 15 * number] = 8 + number
            instances[5:25, 3 + 15 * number : 13 + 15 * number] = number + 1
        mask[4] = instances[4] = VOID
        Image.fromarray(mask).save(folder / f"masks/{id}.png")
        Image.fromarray(instances).save(folder / f"instances/{id}.png")
        Image.fromarray(random.integers(0, 256, (*mask.shape, 3), np.uint8)).save(folder / f"images/{id}.jpg")
        examples.append(Example(id, folder / f"images/{id}.jpg", folder / f"masks/{id}.png"))
    write_manifest(folder / "val.csv", examples)
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec_of(NETWORK).plain()))
    built(NETWORK, 21).save(folder / "model.keras")
    with ProposalWriter(folder / "p.h5", method="selective_search", settings={}) as writer:
        for id in OBJECTS:
            writer.add(id, np.array(BOXES if id != "p3" else BOXES[:0], np.int32).reshape(-1, 4))
    return folder, examples


def row(boxes, *, truth=None, is_whole=False):
    """A row of two maps, the second right where the truth is not given."""
    random = np.random.default_rng(1)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:25, 5:25], mask[4] = 8, VOID
    maps = {1: np.zeros_like(mask), 3: np.where(mask == VOID, 0, mask)}
    picture = random.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    truth = mask if truth is None else truth
    return proposals_row("p", picture, truth, np.array(boxes), maps, is_whole=is_whole)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_a_row_shows_the_picture_the_map_after_each_count_and_the_truth():
    drawn = row(BOXES)
    figure = draw_proposals([drawn], [1, 3])
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], drawn[0].image)
    for image, cell in zip(shown[1:], drawn[1:], strict=True):
        np.testing.assert_array_equal(image, voc_palette()[cell.image])
    background = (HEIGHT - 1) * WIDTH
    assert texts(figure) == [
        *("picture", "1 box", "3 boxes", "ground truth", "p"),
        *(f"mIoU {50 * (background - 400) / background:.1f}", "mIoU 100.0"),
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["background", "cat", "void"]


def test_boxes_have_the_colour_of_the_first_map_they_are_in_and_end_with_the_picture():
    boxes = np.array([[-9, -9, 20, 20], [10, 5, 60, 30], [4, 4, 30, 30], [0, 0, 9, 9]])
    figure = draw_proposals([row(boxes)], [1, 3])
    titles = {text.get_text(): text.get_color() for text in figure.texts}
    patches = [p for p in figure.axes[0].patches if p.get_edgecolor() != (1, 1, 1, 1)]
    assert len(patches) == 3  # the fourth box is in no map
    extents = [tuple(int(edge) for edge in (p.get_bbox().extents + 0.5)) for p in patches]
    assert extents == [(4, 4, 30, 30), (10, 5, 48, 30), (0, 0, 20, 20)]  # the first on top
    from matplotlib.colors import to_rgba

    expected = [titles["3 boxes"], titles["3 boxes"], titles["1 box"]]
    assert [p.get_edgecolor() for p in patches] == [to_rgba(colour) for colour in expected]
    assert patches[-1].get_linewidth() > patches[0].get_linewidth()


def test_pictures_with_fewer_boxes_without_any_and_without_truth_say_so():
    few = draw_proposals([row(BOXES[:2])], [1, 3])
    assert "mIoU 100.0 (has 2)" in texts(few)
    whole = draw_proposals([row([[0, 0, WIDTH, HEIGHT]], is_whole=True)], [1, 3])
    assert "mIoU 100.0 (whole)" in texts(whole)
    void = draw_proposals([row(BOXES, truth=np.full((HEIGHT, WIDTH), VOID, np.uint8))], [1, 3])
    assert texts(void).count("all void") == 2


@pytest.mark.parametrize(("count", "expected"), [(1, ["p1"]), (3, ["p1", "p3", "p0"]), (9, ["p1", "p3", "p0", "p2"])])
def test_the_pictures_with_the_most_objects_are_chosen(split, count, expected):
    assert most_objects(split[1], count, threads=1) == expected
    assert most_objects(split[1][::-1], count, threads=1) == expected


def test_a_picture_without_instances_cannot_be_chosen_by_rule(split, tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "masks/q.png")
    with pytest.raises(UserError, match="'q' has no instance mask"):
        most_objects([Example("q", split[1][0].image, tmp_path / "masks/q.png")], 1, threads=1)


def figure(folder, *options, out="grown.png", manifest="val.csv"):
    files = {"model": "model.keras", "spec": "spec.yaml", "manifest": manifest, "proposals": "p.h5", "out": out}
    paths = [part for key, name in files.items() for part in (f"--{key}", str(folder / name))]
    main(["figure", "proposals", *paths, "--min-side", "10", *options])
    return folder / out


def test_the_verb_draws_the_chosen_pictures_with_the_same_bytes_each_time(split):
    folder, _ = split
    first = figure(folder, "--rows", "2", "--counts", "3", "1", "2", out="a.png")
    assert first.read_bytes() == figure(folder, "--ids", "p1", "p3", "--counts", "1", "2", "3").read_bytes()
    with Image.open(first) as png:
        assert png.width == 1750
    assert first.read_bytes() != figure(folder, "--ids", "p1", "p3", "--of", "scores", out="b.png").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ids", "p9"], "no picture 'p9'"),
        (["--rows", "0"], "--rows is 0"),
        (["--batch", "0"], "--batch is 0"),
        (["--counts", "0", "5"], "--counts is 0"),
        (["--aggregate", "sum"], "--aggregate is sum; give max or mean"),
    ],
)
def test_the_verb_refuses_what_it_cannot_draw(split, options, message):
    with pytest.raises(SystemExit) as stopped:
        figure(split[0], *options, out="never.png")
    assert message in stopped.value.code
    assert not (split[0] / "never.png").exists()


def test_a_picture_without_truth_is_named(split):
    folder, examples = split
    write_manifest(folder / "test.csv", [Example("p0", examples[0].image)])
    with pytest.raises(SystemExit, match="picture 'p0' has no mask"):
        figure(folder, "--ids", "p0", manifest="test.csv")
