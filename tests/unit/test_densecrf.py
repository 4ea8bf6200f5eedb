"""DenseCRF: equal to pydensecrf called directly, objects keep their classes, stores and shards, faults are named."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydensecrf import densecrf
from pydensecrf.utils import unary_from_labels, unary_from_softmax
from scipy.special import softmax

from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.fusion.crf_store import StoreCRF, refine_store
from segrepro.fusion.densecrf import PRESETS, Evidence, Parameters, refine
from segrepro.stores.fitting import PROBABILITY_FLOOR
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.merging import merge_stores
from segrepro.stores.scores import ScoreReader, ScoreWriter
from segrepro.verbs import crf as crf_verb

SIZES = {"p1": (17, 22), "p2": (24, 9), "p3": (17, 22)}
CAT, DOG = 8, 12


def picture_of(seed, size):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def write(path, arrays, *, kind="logits", space="voc21", resize="half_pixel", sizes=SIZES):
    with ScoreWriter(path, system=path.stem, label_space=space, kind=kind, resize=resize) as store:
        for id, array in arrays.items():
            store.add(id, array, size=sizes[id])
    return path


def scores_of(seed, classes=21):
    random = np.random.default_rng(seed)
    return {id: 3 * random.normal(size=(-(-h // 4), -(-w // 4), classes)) for id, (h, w) in SIZES.items()}


def labels_of(seed):
    return {id: np.random.default_rng(seed).integers(0, 4, size) for id, size in SIZES.items()}


@pytest.fixture
def data(tmp_path):
    """Three pictures, their manifest (without masks, as of a test split) and a store of random scores."""
    examples = []
    for number, (id, size) in enumerate(SIZES.items()):
        Image.fromarray(picture_of(number, size)).save(tmp_path / f"{id}.png")
        examples.append(Example(id, tmp_path / f"{id}.png"))
    write_manifest(tmp_path / "m.csv", examples)
    write(tmp_path / "base.h5", scores_of(1))
    return tmp_path


def crf(data, *options, scores="base.h5", out="out.h5", preset="pydensecrf_example"):
    """Run the verb; return the path of the store."""
    which = [] if preset is None else ["--preset", preset]
    files = ["--scores", str(data / scores), "--manifest", str(data / "m.csv"), "--out", str(data / out)]
    main(["crf", *files, "--system", "refined", *which, *map(str, options)])
    return data / out


def direct(
    unary, picture, iterations, gaussian, bilateral, normalisation=densecrf.NormalizationType.NORMALIZE_SYMMETRIC
):
    """pydensecrf as its README calls it; gaussian: sxy, compat; bilateral: sxy, srgb, compat."""
    height, width = picture.shape[:2]
    model = densecrf.DenseCRF2D(width, height, len(unary))
    model.setUnaryEnergy(np.ascontiguousarray(unary))
    model.addPairwiseGaussian(
        sxy=gaussian[0], compat=gaussian[1], kernel=densecrf.KernelType.DIAG_KERNEL, normalization=normalisation
    )
    model.addPairwiseBilateral(
        sxy=bilateral[0],
        srgb=bilateral[1],
        rgbim=picture,
        compat=bilateral[2],
        kernel=densecrf.KernelType.DIAG_KERNEL,
        normalization=normalisation,
    )
    return np.array(model.inference(iterations)).reshape(-1, height, width).transpose(1, 2, 0)


# --- parity -----------------------------------------------------------------------------------------------------

# iterations, gaussian (sxy, compat), bilateral (sxy, srgb, compat), normalisation; typed from the sources that
# `segrepro.fusion.densecrf.PRESETS` names, not from it
PUBLISHED = {
    "deconvnet": (10, (3, 3), (20, 3, 5), densecrf.NormalizationType.NO_NORMALIZATION),
    "deeplab_vgg": (10, (3, 3), (49, 5, 4), densecrf.NormalizationType.NORMALIZE_SYMMETRIC),
    "deeplabv2_resnet101": (10, (1, 3), (67, 3, 4), densecrf.NormalizationType.NORMALIZE_SYMMETRIC),
    "pydensecrf_example": (5, (3, 3), (80, 13, 10), densecrf.NormalizationType.NORMALIZE_SYMMETRIC),
    "report2": (1, (3, 3), (80, 13, 10), densecrf.NormalizationType.NORMALIZE_SYMMETRIC),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_equals_pydensecrf_called_directly(preset):
    random = np.random.default_rng(0)
    picture = picture_of(1, (19, 31))
    probabilities = softmax(3 * random.normal(size=(19, 31, 21)), axis=-1).astype(np.float32)
    if preset == "report2":
        maps = random.choice([0, 3, 20], (19, 31)).astype(np.uint8)
        unary = unary_from_labels(np.searchsorted([0, 3, 20], maps), 3, gt_prob=0.7, zero_unsure=False)
    else:
        maps, unary = probabilities, unary_from_softmax(probabilities.transpose(2, 0, 1).copy())
    result = refine(Evidence(picture, maps, 21), PRESETS[preset])
    expected = direct(unary, picture, *PUBLISHED[preset])
    assert result.shape == (19, 31, 21)
    np.testing.assert_array_equal(result[..., [0, 3, 20]] if preset == "report2" else result, expected)
    np.testing.assert_allclose(result.sum(-1), 1, atol=1e-4)


def test_documents_and_help_show_the_presets_as_they_are():
    """All three had the same two numbers exchanged once."""
    rows = {}
    for where, pattern in (
        (Path("docs/protocols.md").read_text(), r"^\| `(\w+)`[^|]*\| ([\d/ ]+) \| ([\d/ ]+) \| (\d+) \|$"),
        (crf_verb.__doc__, r"^  (\w+) +(\d+/\d+) +(\d+/\d+/\d+) +(\d+)"),
    ):
        for name, gaussian, bilateral, iterations in re.findall(pattern, where, re.MULTILINE):
            numbers = tuple(tuple(map(int, pair.split("/"))) for pair in (gaussian, bilateral))
            rows.setdefault(name, []).append((int(iterations), *numbers))
    assert rows == {name: [preset[:3]] * 2 for name, preset in PUBLISHED.items()}


def test_a_store_holds_pydensecrfs_marginals(data):
    out = crf(data, "--iterations", 3, "--bilateral-sxy", 20)
    with ScoreReader(data / "base.h5") as base, ScoreReader(out) as store:
        assert (store.system, store.kind, store.space.name, store.ids) == (
            "refined",
            "log_probabilities",
            "voc21",
            [*SIZES],
        )
        for number, (id, size) in enumerate(SIZES.items()):
            unary = unary_from_softmax(base.probabilities(id).transpose(2, 0, 1).copy())
            expected = direct(unary, picture_of(number, size), 3, (3, 3), (20, 13, 10))
            stored = store.stored(id)
            assert stored.shape == (*size, 21)
            np.testing.assert_allclose(stored, np.log(np.maximum(expected, PROBABILITY_FLOOR)), atol=5e-3)
            assert (store.labels(id) == expected.argmax(-1)).mean() > 0.995


def test_a_vote_gets_a_unary_of_its_labels(data):
    write(data / "vote.h5", labels_of(3), kind="labels")
    out = crf(data, "--gt-prob", 0.6, scores="vote.h5")
    default = crf(data, scores="vote.h5", out="default.h5")
    for path, certainty in ((out, 0.6), (default, 0.7)):
        with ScoreReader(path) as store:
            for number, (id, labels) in enumerate(labels_of(3).items()):
                unary = unary_from_labels(labels, 4, gt_prob=certainty, zero_unsure=False)
                expected = direct(unary, picture_of(number, SIZES[id]), 5, (3, 3), (80, 13, 10))
                np.testing.assert_allclose(store.probabilities(id)[..., :4], expected, atol=5e-3)
                assert store.labels(id).max() < 4


def test_preset_report2_takes_the_labels_of_a_score_store(data):
    with ScoreReader(data / "base.h5") as base:
        write(data / "labels.h5", {id: base.labels(id) for id in SIZES}, kind="labels")
    one, other = (crf(data, scores=f"{name}.h5", out=f"{name}_2.h5", preset="report2") for name in ("base", "labels"))
    assert one.read_bytes() == other.read_bytes()


# --- what it is for ---------------------------------------------------------------------------------------------


def cat_and_dog():
    """A drawn picture with two objects, its truth, and probabilities: a coarse, shifted guess of both."""
    truth = np.zeros((48, 80), np.uint8)
    truth[12:36, 8:32], truth[12:36, 48:72] = CAT, DOG
    colours = np.zeros((21, 3))
    colours[[0, CAT, DOG]] = (90, 150, 90), (210, 120, 40), (70, 60, 160)
    picture = np.clip(colours[truth] + np.random.default_rng(0).normal(0, 4, (48, 80, 3)), 0, 255).astype(np.uint8)
    guess = np.roll(truth, (3, 3), (0, 1))
    probabilities = np.full((48, 80, 21), 0.4 / 20, np.float32)
    np.put_along_axis(probabilities, guess[..., None].astype(int), 0.6, axis=-1)
    return picture, truth, guess, probabilities


@pytest.mark.parametrize("hard", [False, True])
def test_two_objects_of_different_classes_keep_their_classes(hard):
    picture, truth, guess, probabilities = cat_and_dog()
    parameters = replace(PRESETS["pydensecrf_example"], gt_prob=0.7 if hard else None)
    labels = refine(Evidence(picture, guess if hard else probabilities, 21), parameters).argmax(-1)
    assert set(np.unique(labels)) == {0, CAT, DOG}
    for label in (CAT, DOG):
        assert (labels == label)[truth == label].mean() > 0.98
    assert (guess != truth).mean() > 5 * (labels != truth).mean()


def test_two_labels_stay_what_they_are_for_any_certainty_that_is_allowed():
    picture, truth, *_ = cat_and_dog()
    guess = np.where(truth == CAT, CAT, 0).astype(np.uint8)
    parameters = replace(PRESETS["report2"], gt_prob=0.501)
    labels = refine(Evidence(picture, guess, 21), parameters).argmax(-1)
    assert (labels == guess).mean() > 0.9


def test_one_label_alone_stays():
    result = refine(Evidence(picture_of(0, (6, 7)), np.full((6, 7), CAT, np.uint8), 21), PRESETS["report2"])
    np.testing.assert_array_equal(result, np.eye(21)[np.full((6, 7), CAT)])


@given(st.integers(0, 1000), st.integers(2, 5), st.floats(0.3, 0.95))
@settings(max_examples=25, deadline=None)
def test_a_label_that_occurs_nowhere_in_a_vote_could_win_nowhere(seed, present, certainty):
    """What lets `refine` leave such labels out: with one more in the unary, it is never the answer."""
    labels = np.random.default_rng(seed).integers(0, present, (8, 9))
    unary = unary_from_labels(labels, present + 1, gt_prob=max(certainty, 1.01 / (present + 1)), zero_unsure=False)
    answer = direct(unary, picture_of(seed, (8, 9)), 5, (3, 3), (80, 13, 10)).argmax(-1)
    assert answer.max() < present


def test_improbable_labels_are_kept_unless_asked():
    picture, _, _, probabilities = cat_and_dog()
    every = refine(Evidence(picture, probabilities, 21), PRESETS["deeplab_vgg"])
    assert (every > 0).any(axis=(0, 1)).all()
    fewer = refine(Evidence(picture, probabilities, 21), PRESETS["deeplab_vgg"], drop_below=0.05)
    assert (fewer > 0).any(axis=(0, 1)).nonzero()[0].tolist() == [0, CAT, DOG]
    assert (every.argmax(-1) == fewer.argmax(-1)).mean() > 0.99
    none_left = refine(Evidence(picture, np.full_like(probabilities, 1 / 21), 21), PRESETS["deeplab_vgg"], drop_below=1)
    assert np.isfinite(none_left).all()


def test_a_kernel_of_weight_0_is_no_kernel():
    picture, _, _, probabilities = cat_and_dog()
    parameters = replace(PRESETS["deeplab_vgg"], gaussian_compat=0, bilateral_compat=0)
    result = refine(Evidence(picture, probabilities, 21), parameters)
    np.testing.assert_allclose(result, probabilities / probabilities.sum(-1, keepdims=True), atol=1e-5)


# --- stores -----------------------------------------------------------------------------------------------------


def test_the_file_depends_neither_on_processes_nor_on_shards(data):
    whole = crf(data)
    one_by_one = crf(data, "--threads", 2, out="two.h5")
    assert one_by_one.read_bytes() == whole.read_bytes()
    parts = [crf(data, "--shard", f"{k}/2", out=f"part{k}.h5") for k in (1, 2)]
    with ScoreReader(parts[0]) as store:
        assert store.ids == ["p1", "p3"]
    files = ["--parts", str(parts[1]), str(parts[0]), "--out", str(data / "merged.h5")]
    main(["merge-scores", *files, "--manifest", str(data / "m.csv")])
    assert (data / "merged.h5").read_bytes() == whole.read_bytes()
    assert not [path for path in data.iterdir() if "parts" in path.name]


@pytest.mark.parametrize("kind", ["logits", "labels"])
def test_a_merged_store_reads_like_one_written_at_once(tmp_path, kind):
    arrays = scores_of(4) if kind == "logits" else labels_of(4)
    whole = write(tmp_path / "name.h5", arrays, kind=kind)
    (tmp_path / "a").mkdir()
    part = write(tmp_path / "a" / "name.h5", {id: arrays[id] for id in ("p3", "p1")}, kind=kind)
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b" / "name.h5", {"p2": arrays["p2"]}, kind=kind)
    merge_stores([part, other], tmp_path / "out.h5")
    with ScoreReader(tmp_path / "out.h5") as merged, ScoreReader(whole) as expected:
        assert (merged.system, merged.kind, merged.ids) == ("name", kind, expected.ids)
        for id in SIZES:
            assert merged.size(id) == SIZES[id]
            np.testing.assert_array_equal(merged.stored(id), expected.stored(id))
    merge_stores([other, part], tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "out.h5").read_bytes()


def test_scores_of_coco_are_mapped_first(data):
    write(data / "coco.h5", scores_of(2, classes=91), space="coco91")
    with ScoreReader(crf(data, scores="coco.h5")) as store:
        assert store.space.name == "voc21"
        assert store.stored("p1").shape[-1] == 21


def test_marginals_may_be_stored_coarsely(data):
    with ScoreReader(crf(data, "--storage-stride", 4)) as store:
        assert store.stored("p1").shape == (5, 6, 21)
        assert store.size("p1") == (17, 22)


def test_the_crf_loads_no_tensorflow_and_no_matplotlib():
    code = "import sys, segrepro.fusion.crf_store; print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- unhappy paths ----------------------------------------------------------------------------------------------


def refused(data, *options, named, **more):
    """Expect exit code 1, one sentence on stderr, and nothing left behind."""
    before = sorted(data.iterdir())
    with pytest.raises(SystemExit) as stopped:
        crf(data, *options, **more)
    message = str(stopped.value)
    assert message.startswith("segrepro crf: ")
    assert "\n" not in message
    assert named in message
    assert sorted(data.iterdir()) == before


def test_a_missing_store_and_a_missing_picture_are_named(data):
    refused(data, scores="gone.h5", named="gone.h5: no such score store")
    (data / "p2.png").unlink()
    refused(data, named="p2.png: no such picture")
    (data / "p2.png").write_bytes(b"nothing")
    refused(data, named="p2.png: not a picture or damaged")


def test_a_picture_of_another_size_is_named(data):
    Image.fromarray(picture_of(0, (24, 10))).save(data / "p2.png")
    refused(data, named="p2.png: the picture is 10 x 24 pixels, but 9 x 24 in")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_named_with_the_picture(data, value):
    with h5py.File(data / "base.h5", "a") as file:
        scores = file["pictures/p2"][()]
        scores[0, 0, 0] = value
        file["pictures/p2"][...] = scores
    refused(data, named="has NaN or infinity among its scores of picture 'p2'")


def test_other_pictures_are_named(data):
    write(data / "fewer.h5", {"p1": scores_of(1)["p1"]})
    refused(data, scores="fewer.h5", named="2 of the 3 pictures of")
    write_manifest(data / "m.csv", [Example("p1", data / "p1.png")])
    refused(data, named="m.csv, the first is 'p2'; predict this manifest again")
    write_manifest(data / "m.csv", [Example("p1", data / "p1.png", box=(0, 0, 5, 5))])
    refused(data, named="picture 'p1' has a box")


def test_label_spaces_that_cannot_be_mapped_are_named(data):
    refused(data, "--label-space", "coco91", named="cannot be mapped to 'coco91'")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--preset", "best"), "--preset is best; give deconvnet, deeplab_vgg"),
        (("--iterations", 0), "--iterations is 0"),
        (("--gaussian-sxy", 0), "--gaussian-sxy is 0.0; give a number from 0.01 to 1000"),
        (("--bilateral-srgb", "nan"), "--bilateral-srgb is nan"),
        (("--bilateral-compat", -1), "--bilateral-compat is -1.0; give a number from 0 to 10000"),
        (("--normalisation", "l2"), "--normalisation is l2; give symmetric, before"),
        (("--gt-prob", 1), "--gt-prob is 1.0; give a number above 0.5 and below 1"),
        (("--gt-prob", 0.5), "--gt-prob is 0.5; give a number above 0.5 and below 1"),
        (("--drop-below", 1), "--drop-below is 1.0"),
        (("--storage-stride", 0), "--storage-stride is 0"),
        (("--threads", 0), "--threads is 0"),
        (("--shard", "3/2"), "--shard '3/2': write k/n"),
        (("--shard", "1"), "--shard '1': write k/n"),
        (("--shard", "1/9"), "--shard 1/9: there are 3 pictures only"),
    ],
)
def test_impossible_options_are_named(data, options, message):
    refused(data, *options, named=message)


def test_parts_that_do_not_belong_together_are_named(tmp_path):
    scores = scores_of(1)
    one = write(tmp_path / "one.h5", {"p1": scores["p1"]})
    two = write(tmp_path / "two.h5", {"p2": scores["p2"]})
    with pytest.raises(UserError, match=r"two\.h5: its system is 'two', but 'one' in .*one\.h5"):
        merge_stores([one, two], tmp_path / "out.h5")
    with pytest.raises(UserError, match=r"one\.h5: picture 'p1' is in .* too"):
        merge_stores([one, one], tmp_path / "out.h5")
    with pytest.raises(UserError, match="--parts: the list is empty"):
        merge_stores([], tmp_path / "out.h5")
    with pytest.raises(UserError, match=r"1 of the 2 pictures of the manifest are not in the parts, the first is 'p2'"):
        merge_stores([one], tmp_path / "out.h5", expected={"p1", "p2"})
    other = write(tmp_path / "other" / "one.h5", {"p2": scores["p2"]})
    with pytest.raises(UserError, match="1 of the 2 pictures of the parts are not in the manifest, the first is 'p2'"):
        merge_stores([one, other], tmp_path / "out.h5", expected={"p1"})
    assert not (tmp_path / "out.h5").exists()


def test_a_store_of_labels_needs_no_gt_prob_and_scores_need_none():
    assert PRESETS["deeplab_vgg"].for_store("labels").gt_prob == 0.7
    assert PRESETS["deeplab_vgg"].for_store("logits").gt_prob is None
    assert Parameters(1, 1, 1, 1, 1, 1, gt_prob=0.9).for_store("labels").gt_prob == 0.9


def test_a_store_of_labels_alone_has_the_labels_of_the_marginals(data):
    examples = [Example(id, data / f"{id}.png") for id in SIZES]
    for name, labels in {"whole": False, "labels": True}.items():
        setting = StoreCRF(data / "base.h5", "voc21", PRESETS["deeplab_vgg"], "refined", labels=labels)
        refine_store(setting, examples, data / f"{name}.h5", threads=1)
    with ScoreReader(data / "whole.h5") as whole, ScoreReader(data / "labels.h5") as labels:
        assert (whole.kind, labels.kind) == ("log_probabilities", "labels")
        for example in examples:
            np.testing.assert_array_equal(labels.labels(example.id), whole.labels(example.id))
            assert len(np.unique(labels.labels(example.id))) > 1


def test_no_half_made_file_remains_when_a_picture_fails_late(data):
    (data / "p3.png").unlink()
    setting = StoreCRF(data / "base.h5", "voc21", PRESETS["deeplab_vgg"], "refined")
    before = sorted(data.iterdir())
    with pytest.raises(UserError, match=r"p3\.png"):
        refine_store(setting, [Example(id, data / f"{id}.png") for id in SIZES], data / "out.h5", threads=2)
    assert sorted(data.iterdir()) == before
