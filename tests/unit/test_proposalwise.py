"""Proposal-wise prediction: which boxes, what is cut, how maps are aggregated and stored, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from networks import built, described, spec_of
from segrepro.cli import main
from segrepro.config.systems import ProposalWise
from segrepro.errors import UserError
from segrepro.inference.aggregation import AggregateMap, chosen
from segrepro.inference.proposalwise import (
    CropNetwork,
    growing_maps,
    input_size_of,
    picture_boxes,
    predict_proposals,
    read_pixels,
    whole_picture,
)
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.resize import resize_scores
from segrepro.stores.scores import ScoreReader
from segrepro.training.boxes import resized_box

CLASSES = 21
SIDE = 16
NETWORK = {"architecture": "deconvnet", "backbone": "vgg_tiny", "input_size": 32, "fc_channels": 8}
SIZES = {"a": (40, 56), "b": (56, 40), "c": (41, 37)}
BOXES = {
    "a": [[0, 0, 30, 30], [20, 5, 56, 40], [2, 3, 8, 9], [10, 10, 40, 38]],
    "b": [[5, 5, 35, 50]],
    "c": [[0, 0, 9, 30], [3, 3, 12, 12]],  # each with a side below 12
}
MODES = [(aggregate, of) for aggregate in ("max", "mean") for of in ("probabilities", "scores")]
HEADER = {"system": "d", "label_space": "voc21"}


class FakeProposals:
    """Boxes by id, as `ProposalReader` gives them."""

    def __init__(self, boxes):
        self._boxes, self.ids = boxes, sorted(boxes)

    def boxes(self, id):
        if id not in self._boxes:
            raise UserError(f"no proposals of picture '{id}'")
        return np.array(self._boxes[id], np.int32).reshape(-1, 4)


@pytest.fixture(autouse=True)
def keep_tensorflow_as_it_is(monkeypatch):
    """The verbs size TensorFlow's thread pools, which a process can do only once."""
    monkeypatch.setattr("segrepro.training.devices.prepare_tensorflow", lambda *_, **__: None)


@pytest.fixture(scope="module")
def network():
    """A network whose logits depend on a pixel's neighbours and vary enough to give several labels."""
    pictures = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 64, offset=-2.0)(pictures)
    initializer = keras.initializers.RandomNormal(stddev=1.0, seed=1)
    x = keras.layers.Conv2D(CLASSES, 3, padding="same", kernel_initializer=initializer)(x)
    return CropNetwork(keras.Model(pictures, x), SIDE)


@pytest.fixture(scope="module")
def model(network):
    pictures = keras.Input((SIDE, SIDE, 3))
    return keras.Model(pictures, network._forward.python_function(pictures))


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Three smooth JPEG pictures."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for id, (height, width) in SIZES.items():
        coarse = Image.fromarray(random.integers(0, 256, (6, 7, 3), np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{id}.jpg", quality=95)
    return [Example(id, folder / f"{id}.jpg") for id in SIZES]


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def aggregate_by_loop(size, logits, boxes, aggregate, of):
    """The definition, pixel by pixel."""
    maps = [
        resize_scores(part, (y2 - y1, x2 - x1), "half_pixel")
        for part, (x1, y1, x2, y2) in zip(logits, boxes, strict=True)
    ]
    result = np.zeros((*size, logits[0].shape[-1]))
    for y, x in np.ndindex(*size):
        here = [
            m[y - y1, x - x1] for m, (x1, y1, x2, y2) in zip(maps, boxes, strict=True) if x1 <= x < x2 and y1 <= y < y2
        ]
        if of == "probabilities":
            if not here:
                result[y, x, 0] = 1
                continue
            pooled = getattr(np, aggregate)([softmax(scores) for scores in here], axis=0)
            result[y, x] = pooled / pooled.sum()
        elif here:
            result[y, x] = np.mean(here, axis=0) if aggregate == "mean" else np.max([*here, 0 * here[0]], axis=0)
    return result


@st.composite
def pasted_boxes(draw):
    """A small picture's size, boxes that touch it and may leave it, and the side of the logits."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    boxes = []
    for _ in range(draw(st.integers(1, 4))):
        x1, y1 = draw(st.integers(-6, width - 1)), draw(st.integers(-6, height - 1))
        boxes.append((x1, y1, draw(st.integers(max(x1, 0) + 1, width + 6)), draw(st.integers(max(y1, 0) + 1, 18))))
    return (height, width), boxes, draw(st.integers(1, 8)), draw(st.integers(0, 99))


@pytest.mark.parametrize(("aggregate", "of"), MODES)
@given(case=pasted_boxes())
@settings(max_examples=25, deadline=None)
def test_the_aggregate_equals_a_loop_over_pixels_and_boxes(aggregate, of, case):
    size, boxes, side, seed = case
    logits = np.random.default_rng(seed).normal(0, 3, (len(boxes), side, side, 5)).astype(np.float32)
    result = AggregateMap(size, 5, ProposalWise(aggregate=aggregate, of=of))
    for part, box in zip(logits, boxes, strict=True):
        result.paste(tf.constant(part), np.array(box))
    np.testing.assert_allclose(result.result(), aggregate_by_loop(size, logits, boxes, aggregate, of), atol=2e-5)
    covered = np.zeros(size, int)
    for y, x in np.ndindex(*size):
        covered[y, x] = sum(x1 <= x < x2 and y1 <= y < y2 for x1, y1, x2, y2 in boxes)
    np.testing.assert_array_equal(result.coverage, covered)
    assert (result.result()[covered == 0].argmax(axis=-1) == 0).all()


@given(case=pasted_boxes())
@settings(max_examples=25, deadline=None)
def test_a_crop_is_what_the_training_cuts(case):
    (height, width), boxes, side, seed = case
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    network = CropNetwork(keras.Sequential([keras.Input((side, side, 3)), keras.layers.Conv2D(1, 1)]), side)
    for box in boxes:
        expected, _ = resized_box(tf.constant(picture), tf.zeros((height, width), tf.uint8), tf.constant(box), side)
        x1, y1, x2, y2 = box
        padded = np.pad(picture, ((20, 20), (20, 20), (0, 0)))[y1 + 20 : y2 + 20, x1 + 20 : x2 + 20]
        crop = network.crop(picture, box, name="p").numpy()
        np.testing.assert_array_equal(crop, expected)
        np.testing.assert_allclose(crop, resize_scores(padded, (side, side), "half_pixel"), atol=2e-3)


def test_boxes_of_all_sizes_share_one_trace(network):
    picture = np.zeros((30, 40, 3), np.uint8)
    result = AggregateMap((30, 40), CLASSES, ProposalWise())
    for edge in range(2, 12):
        box = np.array([0, 0, edge, 2 * edge])
        result.paste(network.logits([network.crop(picture, box, name="p")] * (edge % 3 + 1))[0], box)
    traced = (network._resized, network._forward, result._pasted)
    assert [function.experimental_get_tracing_count() for function in traced] == [1, 1, 1]


def test_the_first_proposals_of_sufficient_size_are_predicted_in_rank_order_and_enlarged_after_that():
    boxes = np.array([[0, 0, 9, 40], [10, 10, 20, 30], [0, 0, 40, 9], [0, 0, 10, 10], [5, 5, 25, 25]], np.int32)
    found = chosen(boxes, (40, 40), ProposalWise(count=2, min_side=10, enlarge=1.2), name="p")
    np.testing.assert_array_equal(found, [[9, 8, 21, 32], [-1, -1, 11, 11]])
    assert len(chosen(boxes, (40, 40), ProposalWise(count=9, min_side=10, enlarge=1.0), name="p")) == 3
    assert chosen(boxes, (40, 40), ProposalWise(min_side=41), name="p").shape == (0, 4)
    assert chosen(np.zeros((0, 4), np.int32), (40, 40), ProposalWise(), name="p").shape == (0, 4)


@pytest.mark.parametrize("box", [[40, 0, 60, 20], [0, 30, 20, 50], [-20, 0, 0, 20], [0, -20, 20, 0]])
def test_a_proposal_wholly_outside_is_named(box):
    boxes = np.array([[0, 0, 20, 20], box], np.int32)
    with pytest.raises(UserError, match=rf"picture 'x': proposal {box[0]},{box[1]},.* outside the 40 x 30 picture"):
        picture_boxes(FakeProposals({"x": boxes}), "x", (30, 40), ProposalWise(min_side=5, enlarge=2.0))
    assert len(chosen(boxes, (30, 40), ProposalWise(min_side=5, count=1), name="p")) == 1


def predicted(model, examples, out, *, mode=("max", "probabilities"), proposals=BOXES, **options):
    settings = ProposalWise(**{"min_side": 12, "aggregate": mode[0], "of": mode[1], "enlarge": 1.0} | options)
    proposals = proposals and FakeProposals(proposals)
    whole = predict_proposals(
        model, examples, out, proposals=proposals, aggregation=settings, input_size=SIDE, **HEADER
    )
    return whole, ScoreReader(out)


@pytest.mark.parametrize("mode", MODES)
def test_a_store_of_stride_1_holds_the_aggregate_of_each_picture(model, network, examples, tmp_path, mode):
    whole, reader = predicted(model, examples, tmp_path / "x.h5", mode=mode, storage_stride=1, batch=3, enlarge=1.2)
    assert whole == ["c"]
    for example in examples:
        picture = read_pixels(example.image)
        size = picture.shape[:2]
        options = ProposalWise(min_side=12, enlarge=1.2)
        boxes = chosen(np.array(BOXES[example.id]), size, options, name="p")
        boxes = boxes if len(boxes) else whole_picture(size)
        logits = [network.logits([network.crop(picture, box, name="p")])[0].numpy() for box in boxes]
        expected = aggregate_by_loop(size, logits, boxes, *mode)
        probabilities = softmax(expected) if mode[1] == "scores" else expected
        np.testing.assert_allclose(reader.probabilities(example.id), probabilities, atol=6e-3)
        assert (reader.labels(example.id) == expected.argmax(-1)).mean() > 0.998  # near ties fall in float16
        assert reader.size(example.id) == size


def test_batches_reach_over_pictures_and_change_nothing(model, examples, tmp_path):
    readers = [predicted(model, examples, tmp_path / f"{n}.h5", batch=n, storage_stride=1)[1] for n in (1, 2, 64)]
    for id in SIZES:
        for reader in readers[1:]:
            np.testing.assert_allclose(reader.stored(id), readers[0].stored(id), atol=2e-2)
    predicted(model, examples[::-1], tmp_path / "again.h5", batch=2, storage_stride=1)
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


@pytest.mark.parametrize("mode", MODES)
def test_a_coarse_store_keeps_labels_and_the_background_beside_the_boxes(model, network, tmp_path, mode):
    random, size = np.random.default_rng(3), (150, 190)
    coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), np.uint8))
    coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(tmp_path / "p.jpg")
    boxes, examples = [[10, 20, 90, 100], [40, 30, 120, 140]], [Example("p", tmp_path / "p.jpg")]
    fine = predicted(model, examples, tmp_path / "1.h5", mode=mode, proposals={"p": boxes}, storage_stride=1)[1]
    coarse = predicted(model, examples, tmp_path / "4.h5", mode=mode, proposals={"p": boxes}, storage_stride=4)[1]
    assert coarse.stored("p").shape == (38, 48, CLASSES)
    same = fine.labels("p") == coarse.labels("p")
    assert same.mean() > 0.97
    beside = np.ones(size, bool)
    for x1, y1, x2, y2 in boxes:
        beside[y1 - 4 : y2 + 4, x1 - 4 : x2 + 4] = False
    assert beside.any()
    assert not coarse.labels("p")[beside].any()


def test_whole_pictures_are_one_box_each(model, network, examples, tmp_path):
    whole, reader = predicted(model, examples, tmp_path / "x.h5", proposals=None, storage_stride=1, enlarge=1.2)
    assert whole == []
    for example in examples:
        crop = tf.image.resize(read_pixels(example.image), (SIDE, SIDE))
        logits = network.logits([crop])[0].numpy()
        expected = softmax(resize_scores(logits, SIZES[example.id], "half_pixel"))
        np.testing.assert_allclose(reader.probabilities(example.id), expected, atol=6e-3)


def test_growing_maps_are_the_aggregates_of_the_first_boxes(network, examples):
    picture, boxes = read_pixels(examples[0].image), np.array(BOXES["a"])
    maps = growing_maps(network, picture, boxes, [1, 3, 9], aggregation=ProposalWise(batch=2))
    for count, grown in zip((1, 3, 4), maps, strict=True):
        logits = [network.logits([network.crop(picture, box, name="p")])[0].numpy() for box in boxes[:count]]
        expected = aggregate_by_loop(SIZES["a"], logits, boxes[:count], "max", "probabilities")
        np.testing.assert_allclose(grown, expected, atol=1e-5)


def test_a_picture_without_an_entry_stops_the_run_before_anything_is_predicted(examples, tmp_path):
    proposals = {id: BOXES[id] for id in ("a", "b")}
    with pytest.raises(UserError, match="no proposals of picture 'c'"):
        predicted(keras.Sequential([keras.Input((SIDE, SIDE, 3))]), examples, tmp_path / "x.h5", proposals=proposals)
    assert not list(tmp_path.iterdir())


def test_pictures_that_cannot_be_read_and_rows_with_boxes_are_named(model, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no jpeg")
    for name in ("bad", "absent"):
        with pytest.raises(UserError, match=rf"{name}\.jpg: missing or damaged"):
            predicted(model, [Example("a", tmp_path / f"{name}.jpg")], tmp_path / "x.h5")
    with pytest.raises(UserError, match="the manifest: picture 'a' has a box"):
        predicted(model, [Example("a", tmp_path / "bad.jpg", box=(0, 0, 2, 2))], tmp_path / "x.h5")
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--count 0", "--count is 0; give a whole number from 1"),
        ("--min-side -1", "--min-side is -1; give a whole number"),
        ("--enlarge 0.5", "--enlarge is 0.5; give a number from 1 to 100"),
        ("--aggregate median", "--aggregate is median; give max or mean"),
        ("--of logits", "--of is logits; give probabilities or scores"),
        ("--shrink nearest", "--shrink is nearest; give bilinear or antialias"),
        ("--batch 0", "--batch is 0"),
        ("--storage-stride 0", "--storage-stride is 0"),
    ],
)
def test_impossible_options_are_refused(options, message):
    files = ["--model", "m", "--spec", "s", "--manifest", "p", "--system", "s", "--out", "o", "--whole"]
    with pytest.raises(SystemExit, match=f"segrepro predict: {message}"):
        main(["predict", *files, *options.split()])


def test_a_network_without_an_input_size_is_refused():
    assert input_size_of(described(NETWORK), name="spec.yaml") == 32
    with pytest.raises(UserError, match=r"spec\.yaml: network\.input_size is missing, which 'deeplabv3'"):
        input_size_of(described({}), name="spec.yaml")


@pytest.fixture(scope="module")
def deconvnet_run(examples):
    """A folder with a tiny DeconvNet, its spec, a manifest and a proposals file."""
    from segrepro.stores.proposals import ProposalWriter

    folder = examples[0].image.parent
    for name, network in (("spec.yaml", NETWORK), ("other.yaml", {"architecture": "deeplabv3"})):
        (folder / name).write_text(yaml.safe_dump(spec_of(network, classes=CLASSES).plain()))
    built(NETWORK, CLASSES).save(folder / "model.keras")
    write_manifest(folder / "val.csv", examples)
    with ProposalWriter(folder / "p.h5", method="selective_search", settings={}) as writer:
        for id, boxes in BOXES.items():
            writer.add(id, np.array(boxes, np.int32))
    return folder


def run_verb(folder, *options, spec="spec.yaml", out="x.h5"):
    files = {"model": "model.keras", "spec": spec, "manifest": "val.csv", "out": out}
    paths = [part for key, name in files.items() for part in (f"--{key}", str(folder / name))]
    main(["predict", *paths, "--system", "deconvnet", *options])
    return ScoreReader(folder / out)


def test_the_verb_predicts_with_a_deconvnet_and_says_which_pictures_had_no_proposal(deconvnet_run, capsys):
    options = ("--proposals", str(deconvnet_run / "p.h5"), "--min-side", "12", "--storage-stride", "2")
    reader = run_verb(deconvnet_run, *options)
    said = capsys.readouterr().err
    assert "1 of 3 pictures have no proposal of at least 12 x 12 pixels and were predicted whole" in said
    assert "the first is 'c'" in said
    assert reader.ids == list(SIZES)
    assert (reader.kind, reader.resize, reader.system) == ("log_probabilities", "half_pixel", "deconvnet")
    assert reader.stored("a").shape == (20, 28, CLASSES)
    whole = run_verb(deconvnet_run, "--whole", "--storage-stride", "2", out="whole.h5")
    np.testing.assert_array_equal(whole.stored("c"), reader.stored("c"))
    assert (whole.stored("a") != reader.stored("a")).any()


def test_the_verb_refuses_another_architecture_in_a_sentence(deconvnet_run):
    with pytest.raises(SystemExit, match=r"other\.yaml: network\.input_size is missing"):
        run_verb(deconvnet_run, "--whole", spec="other.yaml", out="y.h5")
    assert not (deconvnet_run / "y.h5").exists()
