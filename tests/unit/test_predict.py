"""Prediction into a score store: batches, test-time augmentation, padding, what is stored."""

import argparse
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tensorflow as tf
import yaml
from PIL import Image
from scipy.ndimage import map_coordinates

from networks import built, described, spec_of
from prediction_setup import CLASSES, at_full_size, mean_of, prediction_of, random_pictures, small_network, softmax
from segrepro.cli import main
from segrepro.config.systems import Fusion
from segrepro.errors import UserError
from segrepro.fusion.fuse import fuse
from segrepro.fusion.members import ensemble_of
from segrepro.inference import predict as predict_module
from segrepro.inference.augmented import (
    DEFAULT_STORAGE_STRIDE,
    AugmentedModel,
    at_output_stride,
    logits_stride,
    scaled_extent,
)
from segrepro.inference.predict import batches_by_size, predict
from segrepro.stores.fitting import PROBABILITY_FLOOR, fit
from segrepro.stores.manifests import Example, write_manifest
from segrepro.stores.resize import RESIZE_MODES, resize_scores
from segrepro.stores.scores import ScoreReader, ScoreWriter
from segrepro.verbs import predict as verb
from training_setup import PROTOCOL

TINY = {"architecture": "deeplabv3", "backbone": "resnet_v2_tiny", "aspp_channels": 8, "aspp_rates": [1, 2, 3]}
PAPER_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
FLAGS = {
    "half_pixel": {"half_pixel_centers": True, "align_corners": False},
    "legacy": {"half_pixel_centers": False, "align_corners": False},
    "align_corners": {"half_pixel_centers": False, "align_corners": True},
}


def scaled(pictures: tf.Tensor, size: list[int], mode: str) -> np.ndarray:
    return tf.raw_ops.ResizeBilinear(images=tf.cast(pictures, tf.float32), size=size, **FLAGS[mode]).numpy()


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    made = []
    for number, (height, width) in enumerate([(24, 32), (40, 20), (24, 32), (32, 24), (24, 32), (40, 20)]):
        path = tmp_path / f"picture{number}.jpg"
        Image.fromarray(random_pictures(1, height, width, seed=number)[0].numpy()).save(path)
        made.append(Example(f"picture{number}", path))
    return made


def predicted(model, examples, path, network=None, **options):
    augmentation = prediction_of(**options)
    network = described(network or {})
    predict(model, examples, path, system="small", label_space="voc21", network=network, augmentation=augmentation)
    return ScoreReader(path)


# --- plain prediction ----------------------------------------------------------------------------------------------


def test_pictures_of_a_size_share_batches_up_to_the_limit(examples):
    def ids(**options):
        return [[int(e.id[-1]) for e in batch] for batch in batches_by_size(examples, **options)]

    assert ids() == [[1, 5], [3], [0, 2, 4]]
    assert ids(pixels=2 * 24 * 32) == [[1], [5], [3], [0, 2], [4]]
    assert ids(pixels=1) == [[1], [5], [3], [0], [2], [4]]
    assert ids(pixels=2 * 24 * 32, input_pixels=lambda height, width: 100) == [[1, 5], [3], [0, 2, 4]]


def test_stored_logits_are_the_networks(examples, tmp_path):
    model = small_network(stride=4, kernel=5)
    with predicted(model, examples, tmp_path / "s.h5") as store:
        assert store.ids == [e.id for e in examples]
        assert store.kind == "logits"
        for example in examples:
            picture = tf.io.decode_jpeg(example.image.read_bytes(), dct_method="INTEGER_ACCURATE")
            logits = model(tf.cast(picture[None], tf.float32)).numpy()[0]
            assert store.size(example.id) == tuple(picture.shape[:2])
            np.testing.assert_allclose(store.stored(example.id), logits, rtol=2e-3, atol=1e-3)


def test_a_row_with_a_box_is_refused_since_the_whole_picture_would_be_predicted(examples, tmp_path):
    boxed = [replace(examples[0], box=(0, 0, 4, 4)), *examples[1:]]
    with pytest.raises(UserError, match=f"the manifest: picture '{examples[0].id}' has a box"):
        predicted(small_network(), boxed, tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


def test_a_network_of_boxes_is_refused_with_the_options_that_it_takes(examples, tmp_path):
    with pytest.raises(UserError, match=r"'small': its network is a deconvnet.*give --proposals"):
        predicted(None, examples, tmp_path / "x.h5", network={"architecture": "deconvnet"})
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.parametrize("options", [{}, {"flip": True, "scales": (0.5, 1.0)}])
def test_the_order_of_the_manifest_changes_nothing(examples, tmp_path, options):
    model = small_network(stride=4, kernel=5)
    predicted(model, examples, tmp_path / "a.h5", **options).close()
    predicted(model, examples[::-1], tmp_path / "b.h5", **options).close()
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_scores_do_not_depend_on_what_shares_the_batch(examples, tmp_path, monkeypatch):
    model = small_network(stride=4, kernel=5)
    together = predicted(model, examples, tmp_path / "a.h5")
    monkeypatch.setattr(predict_module, "PIXELS_PER_BATCH", 1)
    alone = predicted(model, examples, tmp_path / "b.h5")
    for key in together.ids:
        np.testing.assert_allclose(together.stored(key), alone.stored(key), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: path.unlink(), r"picture3\.jpg: no such picture"),
        (lambda path: path.write_text("<html>"), r"picture3\.jpg: not a picture"),
        (lambda path: path.write_bytes(path.read_bytes()[:-120]), r"picture3\.jpg: damaged"),
    ],
    ids=["missing", "another file", "truncated"],
)
@pytest.mark.parametrize("options", [{}, {"flip": True}])
def test_an_unreadable_picture_is_named_and_no_store_remains(examples, tmp_path, break_it, said, options):
    break_it(examples[3].image)
    with pytest.raises(UserError, match=said):
        predicted(small_network(), examples, tmp_path / "s.h5", **options)
    assert not list(tmp_path.glob("*.h5")) + list(tmp_path.glob(".*"))


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"flip": True, "average_at": "stride"}])
def test_nan_is_refused(examples, tmp_path, options):
    model = small_network()
    model.set_weights([w * np.nan for w in model.get_weights()])
    with pytest.raises(UserError, match="NaN"):
        predicted(model, examples, tmp_path / "s.h5", **options)


# --- scales and mirroring ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_scales_are_averaged_as_probabilities_at_full_size(mode):
    model, pictures, size = small_network(stride=4, kernel=3), random_pictures(2, 33, 46), (33, 46)
    views = []
    for scale in PAPER_SCALES:
        inputs = scaled(pictures, [scaled_extent(extent, scale, mode) for extent in size], mode)
        views.append(softmax(at_full_size(model(inputs), size, mode)))
    mean = mean_of(model, pictures, mode, scales=PAPER_SCALES)
    np.testing.assert_allclose(mean, np.mean(views, axis=0), atol=2e-5)
    assert np.abs(mean - views[2]).max() > 0.05


def resized_positions(positions: np.ndarray, extent: int, to_extent: int, mode: str) -> np.ndarray:
    """Where positions on an axis lie once it is resized, written again from the definitions of the modes."""
    if mode == "align_corners":
        return positions * (to_extent - 1) / (extent - 1)
    half = 0.5 if mode == "half_pixel" else 0.0
    return (positions + half) / extent * to_extent - half


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("scale", [1.0, 0.75, 1.5])
def test_a_mirrored_view_is_mirrored_back(mode, scale):
    model, pictures, size = small_network(stride=4, kernel=3), random_pictures(1, 33, 46), (33, 46)
    inputs = scaled(pictures, [scaled_extent(extent, scale, mode) for extent in size], mode)
    straight = softmax(at_full_size(model(inputs), size, mode))
    logits = model(inputs[:, :, ::-1]).numpy()[0]
    y, x = (resized_positions(np.arange(n), n, to, mode) for n, to in zip(size, inputs.shape[1:3], strict=True))
    x = inputs.shape[2] - 1 - x
    y, x = (
        resized_positions(p, n, to, mode) for p, n, to in zip((y, x), inputs.shape[1:3], logits.shape[:2], strict=True)
    )
    grid = np.meshgrid(y, x, indexing="ij")
    mirrored = np.stack([map_coordinates(logits[..., c], grid, order=1, mode="nearest") for c in range(CLASSES)], -1)
    mean = mean_of(model, pictures, mode, scales=(scale,), flip=True)
    np.testing.assert_allclose(mean[0], (straight[0] + softmax(mirrored)) / 2, atol=5e-5)
    assert np.abs(mean - straight).max() > 0.05


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.75)])
@pytest.mark.parametrize("average_at", ["picture", "stride"])
def test_mirroring_changes_nothing_for_an_equivariant_network(mode, scales, average_at):
    pictures = random_pictures(1, 30, 41)
    options = {"scales": scales, "average_at": average_at}
    pointwise = small_network(stride=1, kernel=1)
    np.testing.assert_allclose(
        mean_of(pointwise, pictures, mode, flip=True, **options),
        mean_of(pointwise, pictures, mode, **options),
        atol=1e-5,
    )
    lopsided = small_network(stride=1, kernel=3)
    difference = mean_of(lopsided, pictures, mode, flip=True, **options) - mean_of(lopsided, pictures, mode, **options)
    assert np.abs(difference).max() > 0.02


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_at_stride_the_scales_meet_on_the_networks_own_map(mode):
    model, pictures, size = small_network(stride=4, kernel=3), random_pictures(2, 33, 46), (33, 46)
    views = []
    for scale in (0.5, 1.0, 1.5):
        inputs = scaled(pictures, [scaled_extent(extent, scale, mode) for extent in size], mode)
        views.append(softmax(at_full_size(model(inputs), (9, 12), mode)))
    options = {"scales": (0.5, 1.0, 1.5), "average_at": "stride"}
    mean = mean_of(model, pictures, mode, **options)
    np.testing.assert_allclose(mean, np.mean(views, axis=0), atol=2e-5)
    stored = AugmentedModel(model, prediction_of(**options), resize=mode)(pictures)
    np.testing.assert_allclose(stored, np.log(np.maximum(mean, PROBABILITY_FLOOR)), atol=1e-5)


def test_at_stride_a_mirrored_map_is_read_at_the_mirrored_pixels():
    # In the mode `legacy` node k lies on pixel 4 k: its mirror image is pixel 31 - 4 k, which is no node.
    model, pictures = small_network(stride=4, kernel=3), random_pictures(1, 32, 32)
    straight = softmax(model(tf.cast(pictures, tf.float32)).numpy())
    mirrored = at_full_size(model(tf.cast(pictures[:, :, ::-1], tf.float32)), (32, 32), "legacy")[:, :, ::-1]
    mean = mean_of(model, pictures, flip=True, average_at="stride")
    np.testing.assert_allclose(mean, (straight + softmax(mirrored)[:, ::4, ::4]) / 2, atol=2e-5)


def test_scaled_extents():
    assert [scaled_extent(513, s, "align_corners") for s in (0.5, 1.0, 1.75)] == [257, 513, 897]  # k * 16 + 1
    assert [scaled_extent(375, s, "legacy") for s in (0.5, 1.0, 1.75)] == [187, 375, 656]
    assert scaled_extent(1, 0.5, "half_pixel") == 1


# --- padding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"scales": (0.5, 1.0, 1.5), "flip": True}])
def test_padding_gives_the_network_a_larger_picture_and_is_cut_off(options):
    network = TINY | {"normalisation": "caffe", "resize": "align_corners"}
    model, pictures = built(network, CLASSES), random_pictures(1, 40, 70)
    caffe_mean_rgb = (123.68, 116.779, 103.939)
    larger = np.tile(np.float32(caffe_mean_rgb), (1, 65, 70, 1))  # taller than the picture, and as wide
    larger[:, :40] = pictures
    expected = mean_of(model, larger, "align_corners", **options)
    mean = mean_of(model, pictures, "align_corners", pad_to=65, **options)
    np.testing.assert_allclose(mean, expected[:, :40], atol=1e-5)
    unpadded = mean_of(model, pictures, "align_corners", **options)
    assert np.abs(mean - unpadded).max() > 1e-3  # image pooling sees the padding
    np.testing.assert_array_equal(mean_of(model, pictures, "align_corners", pad_to=40, **options), unpadded)


# --- what is stored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_store_at_every_pixel_gives_the_mean_back(examples, tmp_path, mode):
    model = small_network(stride=4, kernel=3)
    options = {"scales": (0.5, 1.0), "flip": True}
    with predicted(model, examples, tmp_path / "s.h5", {"resize": mode}, storage_stride=1, **options) as store:
        for example in examples:
            picture = tf.io.decode_jpeg(example.image.read_bytes(), dct_method="INTEGER_ACCURATE")
            mean = mean_of(model, picture[None], mode, **options)[0]
            read = store.probabilities(example.id)
            np.testing.assert_allclose(read, mean, rtol=5e-3, atol=CLASSES * PROBABILITY_FLOOR)


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_the_fitted_map_keeps_the_labels_of_the_mean(mode):
    pictures = random_pictures(2, 96, 130)
    model = AugmentedModel(
        small_network(stride=8, kernel=9, gain=0.1), prediction_of(scales=PAPER_SCALES, flip=True), resize=mode
    )
    mean, fitted = model.over_views(pictures), model(pictures)
    assert fitted.shape == (2, 96 // DEFAULT_STORAGE_STRIDE, -(-130 // DEFAULT_STORAGE_STRIDE), CLASSES)
    read = at_full_size(fitted.astype(np.float16), (96, 130), mode)
    sampled = at_full_size(np.log(at_full_size(mean, fitted.shape[1:3], mode)), (96, 130), mode)
    agreement, of_sampled = ((x.argmax(-1) == mean.argmax(-1)).mean() for x in (read, sampled))
    assert agreement > 0.99
    assert agreement >= of_sampled
    assert np.abs(softmax(read) - mean).mean() < 1e-3


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(("extent", "nodes"), [(375, 94), (500, 125), (17, 17), (5, 1), (513, 129)])
def test_the_fit_inverts_the_readers_interpolation(mode, extent, nodes):
    scores = np.random.default_rng(0).normal(size=(nodes, nodes, 2)).astype(np.float32)
    pixels = resize_scores(scores, (extent, extent), mode)
    np.testing.assert_allclose(fit(pixels, -(-extent // nodes), mode), scores, atol=1e-4)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(
    "options", [{"storage_stride": 2}, {"scales": (1.5,)}, {"pad_to": 45}, {"scales": (0.5,), "average_at": "stride"}]
)
def test_of_one_view_the_logits_are_stored_and_read_as_its_probabilities(mode, options):
    model, pictures = small_network(stride=4, kernel=9, gain=0.5, normalisation="mean_rgb"), random_pictures(1, 36, 52)
    augmentation = prediction_of(**options)
    single = AugmentedModel(model, augmentation, resize=mode)
    mean, stored = softmax(single.over_views(pictures)), single(pictures)
    if augmentation.average_at == "stride":
        np.testing.assert_allclose(softmax(stored), mean, atol=1e-6)
    else:
        # Log-probabilities are the logits less a number a pixel, which a linear fit leaves equal for all classes.
        stride = options.get("storage_stride", DEFAULT_STORAGE_STRIDE)
        expected = fit(np.log(mean[0]), stride, mode)
        read, wanted = (at_full_size(maps[None], (36, 52), mode) for maps in (stored[0], expected))
        np.testing.assert_allclose(softmax(read), softmax(wanted), atol=1e-4)
    # logits, not log-probabilities, whose exponentials sum to 1
    assert np.abs(np.log(np.exp(stored).sum(-1))).mean() > 0.5


def test_predictions_at_a_storage_stride_go_into_the_released_product(examples, tmp_path):
    deconvnet = tmp_path / "deconvnet.h5"
    header = {"system": "deconvnet", "label_space": "voc21", "kind": "logits", "resize": "half_pixel"}
    random = np.random.default_rng(0)
    with predicted(small_network(), examples, tmp_path / "fcn.h5", storage_stride=4) as fcn:
        with ScoreWriter(deconvnet, **header) as store:
            for id in fcn.ids:
                store.add(id, np.maximum(random.normal(size=fcn.stored(id).shape), 0), size=fcn.size(id))
        ensemble = ensemble_of([deconvnet, fcn.path], space="voc21")
        rule = Fusion(kind="release_product", members=["a", "b"], storage_stride=1)
        fuse(ensemble, rule, tmp_path / "both.h5", system="both", threads=1)
        with ScoreReader(tmp_path / "both.h5") as both, ScoreReader(deconvnet) as first:
            for id in fcn.ids:
                one, other = (resize_scores(each.stored(id), fcn.size(id), each.resize) for each in (first, fcn))
                expected = np.maximum(one, 0) * np.maximum(other, 0)
                assert len(np.unique(expected.argmax(-1))) > 3
                np.testing.assert_allclose(both.stored(id), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("options", [{"flip": True}, {"flip": True, "average_at": "stride"}])
def test_extreme_logits_are_stored_finite(examples, tmp_path, options):
    with predicted(small_network(stride=4, kernel=3, gain=1e4), examples, tmp_path / "s.h5", **options) as store:
        for key in store.ids:
            stored, read = store.stored(key), store.probabilities(key)
            assert np.isfinite(stored).all()
            assert stored.min() > 2 * np.log(PROBABILITY_FLOOR)  # the fit overshoots a little
            np.testing.assert_allclose(read.sum(-1), 1, atol=1e-5)


def test_plain_means_no_view_but_the_picture():
    assert prediction_of().is_plain
    assert prediction_of(output_stride=8).is_plain
    assert prediction_of(storage_stride=2, pad_to=9).has_logits
    assert not any(prediction_of(**options).has_logits for options in ({"flip": True}, {"window": 513}))
    for options in ({"scales": (0.5,)}, {"flip": True}, {"window": 513}, {"storage_stride": 2}, {"pad_to": 9}):
        assert not prediction_of(**options).is_plain
    assert prediction_of(scales=(0.5, 1), flip=True).views == [(0.5, False), (0.5, True), (1.0, False), (1.0, True)]
    assert prediction_of(scales=(0.5, 2.0)).largest_input(100, 300) == 120_000
    assert prediction_of(scales=(0.5, 2.0), window=250).largest_input(100, 300) == 50_000
    assert prediction_of(scales=(0.5, 2.0), pad_to=200).largest_input(100, 300) == 240_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--scales", "--scales: give 1 or more"),
        ("--scales 1 0", "--scales is 0.0; give a number above 0 to 8"),
        ("--scales 1 1", r"--scales: \[1.0, 1.0\] names a scale twice; give each once"),
        ("--output-stride 4", "--output-stride is 4; give 8, 16 or 32"),
        ("--average-at logits", "--average-at is logits; give picture or stride"),
        ("--window 0", "--window is 0; give a whole number from 1"),
        ("--window-stride 10", "--window-stride: needs 'window', and may be at most its side"),
        ("--window 10 --window-stride 11", "--window-stride: needs 'window', and may be at most its side"),
        ("--storage-stride 0", "--storage-stride is 0"),
        ("--pad-to 0", "--pad-to is 0"),
        ("--pad-to 513 --average-at stride", "--pad-to: needs 'average_at: picture'"),
        ("--storage-stride 2 --average-at stride", "--storage-stride: has no meaning for 'average_at: stride'"),
    ],
)
def test_impossible_augmentations_are_refused(options, said):
    files = ["--model", "m", "--spec", "s", "--manifest", "p", "--system", "s", "--out", "o"]
    with pytest.raises(SystemExit, match=f"segrepro predict: {said}"):
        main(["predict", *files, *options.split()])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--whole --flip", "--proposals and --whole take no test-time augmentation"),
        ("--proposals p --storage-stride 2 --scales 1 2", "--proposals and --whole take no test-time augmentation"),
        ("--count 9", "The options of boxes need --proposals or --whole"),
        ("--flip --storage-stride 2 --of scores", "The options of boxes need --proposals or --whole"),
        ("--whole --proposals p", "not allowed with argument"),
    ],
)
def test_options_of_the_other_way_are_refused(options, said, capsys):
    files = ["--model", "m", "--spec", "s", "--manifest", "p", "--system", "s", "--out", "o"]
    with pytest.raises(SystemExit) as stopped:
        main(["predict", *files, *options.split()])
    assert said in f"{stopped.value} {capsys.readouterr().err}"


# --- another output stride -----------------------------------------------------------------------------------------


def test_a_rebuilt_model_has_the_same_weights_at_another_stride():
    network = {**TINY, "output_stride": 16}
    model = built(network, CLASSES, seed=1)
    rebuilt = at_output_stride(model, described(network), 8)
    assert (logits_stride(model), logits_stride(rebuilt)) == (16, 8)
    for layer in (layer for layer in model.layers if layer.weights):
        for mine, theirs in zip(layer.get_weights(), rebuilt.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert at_output_stride(model, described(network), 16) is model
    assert at_output_stride(model, described(network), None) is model


def test_the_spec_of_another_network_is_refused():
    network = {**TINY, "output_stride": 16}
    model = built({**network, "aspp_channels": 4}, CLASSES)
    with pytest.raises(UserError, match="has other weights than its spec's network at output stride 8"):
        at_output_stride(model, described(network), 8)


def test_the_output_stride_reaches_the_store(examples, tmp_path):
    network = {**TINY, "output_stride": 16, "resize": "legacy"}
    model = built(network, CLASSES)
    with predicted(model, examples, tmp_path / "s.h5", network, output_stride=8) as store:
        assert store.stored("picture0").shape == (3, 4, CLASSES)
        at_eight = at_output_stride(model, described(network), 8)
        picture = tf.io.decode_jpeg(examples[0].image.read_bytes(), dct_method="INTEGER_ACCURATE")
        logits = at_eight(tf.cast(picture[None], tf.float32)).numpy()[0]
        np.testing.assert_allclose(store.stored("picture0"), logits, rtol=5e-3, atol=5e-3)


# --- the verb ------------------------------------------------------------------------------------------------------


def test_the_verb_predicts_with_its_options(examples, tmp_path, monkeypatch):
    monkeypatch.setattr("segrepro.training.devices.prepare_tensorflow", lambda *_, **__: None)
    network = {**TINY, "output_stride": 16, "resize": "legacy"}
    built(network, CLASSES).save(tmp_path / "model.keras")
    spec = spec_of(network, PROTOCOL, classes=CLASSES).plain()
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    write_manifest(tmp_path / "m.csv", examples)
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    files = ["--model", "model.keras", "--spec", "spec.yaml", "--manifest", "m.csv", "--out", "s.h5"]
    files = [str(tmp_path / value) if not value.startswith("--") else value for value in files]
    options = "--system t --scales 0.5 1 --flip --output-stride 8 --average-at picture --window 25 --window-stride 16"
    verb.run(parser.parse_args([*files, *options.split(), "--storage-stride", "2", "--pad-to", "33"]))
    with h5py.File(tmp_path / "s.h5") as file:
        assert file.attrs["kind"] == "log_probabilities"
        assert file["pictures/picture0"].shape == (12, 16, CLASSES)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec | {"protocol": None}))  # published weights
    verb.run(parser.parse_args([*files, "--system", "t", "--flip", "--average-at", "stride"]))
    with ScoreReader(tmp_path / "s.h5") as store:
        assert store.stored("picture0").shape == (2, 2, CLASSES)
    with pytest.raises(UserError, match="--average-at: input should be 'picture' or 'stride'"):
        verb.run(parser.parse_args([*files, "--system", "t", "--average-at", "logits"]))
