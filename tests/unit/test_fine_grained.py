"""`segrepro evaluate --fine-grained`: what it writes, from one or several processes, and what it refuses; intervals."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import jaccard_score

from segrepro.cli import main
from segrepro.config.fine_grained import FineGrained
from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import bca_interval, draws, estimate
from segrepro.evaluation.boundary import boundary_counts, trimap_counts
from segrepro.evaluation.confusion import load_confusions
from segrepro.evaluation.fine_grained import load_fine_counts
from segrepro.evaluation.metrics import counts_of_confusions, mean_iou
from segrepro.evaluation.object_sizes import size_counts
from segrepro.labels import VOC21, VOID
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.scores import ScoreWriter

IDS = [f"p{number}" for number in range(6)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder as VOC's: pictures with masks, instance masks of all but the last, and two stores of labels."""
    folder = tmp_path_factory.mktemp("fine_grained")
    rng = np.random.default_rng(0)
    for name in ("masks", "instances"):
        (folder / name).mkdir()
    truths = {}
    for number, id in enumerate(IDS):
        mask, instances = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
        for place, (side, label) in enumerate([(6, 1 + number % 3), (18, 5)], start=1):
            top, left = int(rng.integers(0, 40 - side)), int(rng.integers(0, 50 - side))
            region = (slice(top, top + side), slice(left, left + side))
            mask[region], instances[region] = VOID, VOID
            inner = (slice(top + 1, top + side - 1), slice(left + 1, left + side - 1))
            mask[inner], instances[inner] = label, place
        Image.fromarray(mask).save(folder / f"masks/{id}.png")
        if id != IDS[-1]:
            Image.fromarray(instances).save(folder / f"instances/{id}.png")
        truths[id] = mask
    write_manifest(folder / "val.csv", [Example(id, folder / "x.jpg", folder / f"masks/{id}.png") for id in IDS])
    for system, shift in (("a", 2), ("b", 5)):
        header = {"system": system, "label_space": "voc21", "kind": "labels", "resize": "legacy"}
        with ScoreWriter(folder / f"{system}.h5", **header) as store:
            for id, mask in truths.items():
                labels = np.roll(np.where(mask == VOID, 0, mask), shift, axis=1)
                store.add(id, labels, size=labels.shape)
    for system in "ab":
        evaluate(folder, system)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it that a test may damage."""
    return shutil.copytree(made, tmp_path / "copy")


def evaluate(folder, system="a", *options, name=None):
    name = folder / (name or system)
    files = {"scores": f"{system}.h5", "manifest": "val.csv"}
    inputs = [part for key, file in files.items() for part in (f"--{key}", str(folder / file))]
    outputs = ["--json", f"{name}.json", "--confusions", f"{name}.npz", "--fine-grained", f"{name}.fine_grained.npz"]
    main(["evaluate", *inputs, *outputs, *options])
    return json.loads((folder / f"{name}.json").read_text())


def error_of(*arguments):
    with pytest.raises(SystemExit) as stopped:
        evaluate(*arguments)
    return stopped.value.code


def mask_of(folder, id):
    return np.array(Image.open(folder / f"masks/{id}.png"))


def test_the_counts_are_those_of_each_picture(made):
    counts = load_fine_counts(made / "a.fine_grained.npz")
    assert (counts.system, counts.split, counts.label_space) == ("a", "val", "voc21")
    assert counts.ids == IDS
    assert counts.settings == FineGrained()
    for place, id in enumerate(IDS):
        truth = mask_of(made, id)
        prediction = np.roll(np.where(truth == VOID, 0, truth), 2, axis=1)
        instances = made / f"instances/{id}.png"
        objects = np.array(Image.open(instances)) if instances.exists() else None
        pair = (truth, prediction, 21)
        np.testing.assert_array_equal(counts.boundary[place], boundary_counts(*pair, ratio=0.02))
        np.testing.assert_array_equal(counts.trimap[place], trimap_counts(*pair, widths=FineGrained().trimap_widths))
        np.testing.assert_array_equal(counts.objects[place], size_counts(*pair, sides=(32, 96), instances=objects))
    assert counts.instanced.tolist() == [True] * 5 + [False]
    assert counts.objects[:, 0].sum() >= 11


def test_the_json_holds_the_totals_and_plain_mious_equal_scikit_learns(made):
    measured, counts = json.loads((made / "a.json").read_text()), load_fine_counts(made / "a.fine_grained.npz")
    truth = np.concatenate([mask_of(made, id).ravel() for id in IDS])
    prediction = np.concatenate([np.roll(mask_of(made, id) * (mask_of(made, id) != VOID), 2, 1).ravel() for id in IDS])
    truth, prediction = truth[truth != VOID], prediction[truth != VOID]
    ious = jaccard_score(truth, prediction, labels=np.unique(truth), average=None)
    assert measured["miou"] == pytest.approx(ious.mean())
    assert mean_iou(counts.whole.sum(axis=0)) == pytest.approx(ious.mean())
    names = [VOC21.classes[label] for label in np.unique(truth)]
    assert [measured["per_class_iou"][name] for name in names] == pytest.approx(ious.tolist())
    assert measured["trimap"]["widths"][-1] == 40
    assert measured["trimap"]["miou"][-1] == pytest.approx(measured["miou"])
    assert measured["boundary"]["miou"] == pytest.approx(mean_iou(counts.boundary.sum(axis=0)))
    assert measured["boundary"]["per_class_iou"]["cat"] is None
    sizes = measured["object_sizes"]
    assert (sizes["objects"][1:], sizes["iou"][1:]) == ([0, 0], [None, None])
    assert sizes["pictures_with_instance_mask"] == 5


def measured(folder, name):
    """What a metrics file says, but for the command that wrote it."""
    content = json.loads((folder / f"{name}.json").read_text())
    content["provenance"].pop("command")
    return content


def test_two_processes_write_the_same_bytes_as_one(made):
    evaluate(made, "a", "--threads", "2", name="two")
    for kind in ("npz", "fine_grained.npz"):
        assert (made / f"a.{kind}").read_bytes() == (made / f"two.{kind}").read_bytes()
    assert measured(made, "a") == measured(made, "two")


def test_the_confusions_are_the_same_with_and_without_fine_grained_metrics(made):
    inputs = ["--scores", str(made / "a.h5"), "--manifest", str(made / "val.csv")]
    main(["evaluate", *inputs, "--json", str(made / "plain.json"), "--confusions", str(made / "plain.npz")])
    assert (made / "plain.npz").read_bytes() == (made / "a.npz").read_bytes()
    plain, full = measured(made, "plain"), measured(made, "a")
    assert plain == {key: full[key] for key in plain}
    assert load_confusions(made / "plain.npz")[0] == IDS


def test_the_options_are_kept_with_the_counts(made):
    options = ["--boundary-ratio", "0.1", "--trimap-widths", "2", "9", "--object-sides", "10"]
    measured = evaluate(made, "a", *options, name="other")
    assert load_fine_counts(made / "other.fine_grained.npz").settings == FineGrained(
        boundary_ratio=0.1, trimap_widths=[2, 9], object_sides=[10]
    )
    assert sum(measured["object_sizes"]["objects"]) == load_fine_counts(made / "a.fine_grained.npz").objects[:, 0].sum()
    assert measured["object_sizes"]["objects"][1] == 6
    assert len(measured["trimap"]["miou"]) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--boundary-ratio", "1.5"], "--boundary-ratio is 1.5; give a number above 0 and below 1."),
        (["--trimap-widths", "3", "3"], "--trimap-widths: is [3, 3]; give increasing numbers of pixels"),
        (["--object-sides", "0", "9"], "--object-sides is 0; give a whole number from 1 to 2147483647."),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_scored(folder, options, sentence):
    (folder / "a.json").unlink()
    assert sentence in error_of(folder, "a", *options)
    assert not (folder / "a.json").exists()
    with pytest.raises(ValueError, match="increasing"):
        FineGrained(trimap_widths=[4, 2])


def test_an_instance_mask_of_another_size_or_a_damaged_one_is_named(folder):
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(folder / "instances/p2.png")
    message = error_of(folder)
    assert "instances/p2.png: the mask is 4 x 3 pixels and its picture 50 x 40" in message
    (folder / "instances/p2.png").write_bytes(b"no picture")
    assert "instances/p2.png: the mask cannot be read" in error_of(folder)


def test_files_without_fine_grained_counts_are_refused(folder):
    with pytest.raises(UserError, match="no such file; make it with `segrepro evaluate --fine-grained`"):
        load_fine_counts(folder / "none.npz")
    with pytest.raises(UserError, match=r"a\.npz: not the fine-grained counts of an evaluation"):
        load_fine_counts(folder / "a.npz")
    content = (folder / "a.fine_grained.npz").read_bytes()
    (folder / "a.fine_grained.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not the fine-grained counts of an evaluation"):
        load_fine_counts(folder / "a.fine_grained.npz")


def test_intervals_of_miou_are_those_of_the_main_table(made):
    counts, (_, confusions) = load_fine_counts(made / "a.fine_grained.npz"), load_confusions(made / "a.npz")
    measured = estimate(
        lambda sums: mean_iou(sums)[:, np.newaxis], counts.whole, Bootstrap(resamples=300, confidence=0.9, seed=4)
    )
    counts = counts_of_confusions(confusions)
    expected = bca_interval(*draws(mean_iou, counts, resamples=300, seed=4), 0.9)
    assert (measured.low[0], measured.high[0]) == pytest.approx(tuple(expected))
    assert measured.value[0] == pytest.approx(mean_iou(counts.sum(axis=0)))


def test_what_is_undefined_has_no_interval_and_draws_without_it_are_left_out():
    counts = np.zeros((6, 2), np.int64)
    counts[:2] = 1, 2  # two pictures of six have anything to count
    with np.errstate(invalid="ignore"):
        measured = estimate(
            lambda sums: np.stack([sums[:, 0] / sums[:, 1], 0 * sums[:, 0] + np.nan], axis=1),
            counts,
            Bootstrap(resamples=50),
        )
    assert (measured.low[0], measured.value[0], measured.high[0]) == (0.5, 0.5, 0.5)
    assert np.isnan([measured.low[1], measured.value[1], measured.high[1]]).all()


@pytest.mark.parametrize(("option", "value"), [("--resamples", "0"), ("--confidence", "95")])
def test_bootstrap_options_out_of_range_are_refused(made, option, value):
    arguments = [
        "table",
        "boundary",
        "--fine-grained",
        str(made / "a.fine_grained.npz"),
        "--out",
        str(made / "t.csv"),
        option,
        value,
    ]
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert f"{option} is {value}" in stopped.value.code
    assert not (made / "t.csv").exists()
