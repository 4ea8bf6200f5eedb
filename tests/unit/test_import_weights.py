"""Weights from anywhere: names complete both ways, the original's logits, and one sentence for what does not fit."""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import slim_reference
import yaml
from tf1_files import (
    CLASSES,
    MICRO_RELEASED,
    MICRO_REPORT,
    MOBILENET,
    RELEASED,
    REPORT,
    RESNET_V1,
    assert_holds,
    assert_one_sentence,
    extras,
    import_micro,
    save_tf1,
    tf1_values,
)

from networks import built, built_of_zeros, described, micro_backbones, spec_of
from segrepro import cli
from segrepro.errors import UserError
from segrepro.models.importing import check_network, load_weights
from segrepro.models.layers import resize_bilinear
from segrepro.models.model_files import load_model, save_model
from segrepro.models.tf1_names import LAYOUTS

TINY_REPORT = {**MICRO_REPORT, "backbone": "resnet_v2_tiny"}  # which the config knows
# variables, values, sha256 of the sorted lines "name 1,2,3": of the published lists of variables
PUBLISHED = {
    "tf1_deeplabv3_resnet_v2": (574, 58_170_133, "8f1c43145e2873a0e5685a4ab2aa9cac76662829e032bf507c3a4be9a0cff3eb"),
    "tf1_deeplabv3plus_xception": (732, 41_258_213, "6712973971e44f6a4b7fd72185e38e51076cc374f565bd731a2804b99661fde2"),
    # no list of this one is at hand: its names are those of the release's source, as slim_reference has them
    "tf1_deeplabv3_mobilenet_v2": (272, 2_146_645, "64b95630bd03d6139a95445614f9d05406d0bc0d171fa359c86fb2733945f637"),
}
# format -> network, reference forward pass, gain of its random kernels, list of variables
ORIGINALS = {
    "tf1_deeplabv3_resnet_v2": (REPORT, slim_reference.deeplabv3, 0.5, "names_resnet_v2_101_v3.tsv"),
    "tf1_deeplabv3plus_xception": (RELEASED, slim_reference.deeplabv3plus, 1.3, "names_xception_65_v3plus.tsv"),
    "tf1_deeplabv3_mobilenet_v2": (MOBILENET, slim_reference.deeplabv3_mobilenet_v2, 2.0, None),
}
# maps of 33, 17, 9, 5 rows; and of 32, 16, 8, 4 rows, 48, 24, 12, 6 columns
SIZES = ((65, 65), (64, 96))


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    with micro_backbones():
        yield


def spec(network, classes=CLASSES, seed=0):
    return spec_of(network, classes=classes, seed=seed)


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# ---- the original networks, whole


class Imported:
    """An original with random weights: its logits, and the network imported from a checkpoint in TF1's format."""

    def __init__(self, file_format):
        self.format = file_format
        self.network, self.forward, gain, self.list = ORIGINALS[file_format]
        self.variables = slim_reference.Variables(gain)
        self.logits = {size: self.forward(self.variables, picture(*size)) for size in SIZES}
        with tempfile.TemporaryDirectory() as folder:
            values = self.variables.values
            few = {name: values[name] for name in values if name.endswith("gamma")}
            prefix = save_tf1(Path(folder) / "model.ckpt-30000", values | extras(few))
            self.model = built_of_zeros(self.network, 21)
            load_weights(self.model, described(self.network), prefix, file_format=file_format)


@pytest.fixture(scope="module", params=ORIGINALS)
def imported(request):
    return Imported(request.param)


def test_names_and_shapes_are_those_of_the_published_checkpoints(imported):
    layout, backbone = LAYOUTS[imported.format], imported.network["backbone"]
    names = [
        (layout.tf1_name(layer.name, variable.name, backbone=backbone), tuple(variable.shape))
        for layer in imported.model.layers
        for variable in layer.weights
    ]
    assert len(dict(names)) == len(names)
    assert slim_reference.summary(dict(names)) == PUBLISHED[imported.format]
    assert slim_reference.summary(imported.variables.shapes()) == PUBLISHED[imported.format]


@pytest.mark.skipif("SEGREPRO_CHECKPOINT_FACTS" not in os.environ, reason="SEGREPRO_CHECKPOINT_FACTS is not set")
def test_names_and_shapes_are_those_of_the_lists(imported):
    if imported.list is None:
        pytest.skip("there is no list of this checkpoint")
    with (Path(os.environ["SEGREPRO_CHECKPOINT_FACTS"]) / imported.list).open() as stream:
        listed = {
            row["name"]: tuple(map(int, row["shape"].split(","))) for row in csv.DictReader(stream, delimiter="\t")
        }
    assert imported.variables.shapes() == listed
    assert slim_reference.summary(listed) == PUBLISHED[imported.format]


@pytest.mark.parametrize("size", SIZES)
def test_an_imported_network_computes_the_logits_of_the_original(imported, size):
    expected = imported.logits[size]
    logits = imported.model(picture(*size)[None]).numpy()[0]
    assert expected.std(axis=(0, 1)).mean() > 0.2  # they depend on the picture
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4)
    aligned = imported.network["resize"] == "align_corners"
    at_picture_size = slim_reference.resize(expected, size, align_corners=aligned)
    resized = resize_bilinear(logits[None], size, imported.network["resize"])[0]
    np.testing.assert_allclose(resized, at_picture_size, rtol=0, atol=1e-4)


# ---- specs that do not fit


@pytest.mark.parametrize(
    ("file_format", "network", "message"),
    [
        ("tf1_deeplabv3_resnet_v2", RELEASED, r"network\.architecture is 'deeplabv3plus', but .* hold deeplabv3: "),
        (
            "tf1_deeplabv3_resnet_v2",
            RESNET_V1,
            r"network\.backbone .* hold resnet_v2_\*",
        ),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "variant": "keras"}, r"network\.variant is 'keras', but .* 'slim'"),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "features": "post_norm"}, r"network\.features .* 'raw_sum'"),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "multi_grid": [1, 2, 4]}, r"network\.multi_grid .* \(1, 1, 1\)"),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "batch_norm_epsilon": 1e-3}, r"network\.batch_norm_epsilon .* 1e-05"),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "normalisation": "keras_tf"}, r"network\.normalisation .* 'mean_rgb'"),
        ("tf1_deeplabv3_resnet_v2", {**REPORT, "resize": "half_pixel"}, r"network\.resize .* 'legacy'"),
        ("tf1_deeplabv3_mobilenet_v2", {**MOBILENET, "aspp_rates": [6]}, r"network\.aspp_rates is \[6\], but .* \(\)"),
        ("tf1_deeplabv3_mobilenet_v2", {**MOBILENET, "variant": "keras"}, r"network\.variant .* 'released'"),
        ("tf1_deeplabv3_mobilenet_v2", REPORT, r"network\.backbone .* hold mobilenet_v2\*"),
        ("tf1_deeplabv3plus_xception", REPORT, r"network\.architecture is 'deeplabv3', but .* hold deeplabv3plus"),
        (
            "tf1_deeplabv3plus_xception",
            {**RELEASED, "batch_norm_epsilon": 1e-3},
            r"network\.batch_norm_epsilon .* None",
        ),
        ("tf1_deeplabv3plus_xception", {**RELEASED, "resize": "legacy"}, r"network\.resize .* 'align_corners'"),
        (
            "tf1_slim_imagenet",
            RESNET_V1,
            r"hold resnet_v2_\* or xception_\*: change it",
        ),
        ("caffe", REPORT, r"format is 'caffe': use one of tf1_slim_imagenet, tf1_deep"),
    ],
)
def test_a_spec_that_computes_something_else_is_refused(file_format, network, message):
    with pytest.raises(UserError, match=message) as error:
        check_network(described(network), file_format)
    assert_one_sentence(error)


def test_weights_are_valid_at_any_output_stride(tmp_path):
    values = tf1_values(built(MICRO_REPORT, CLASSES), "tf1_deeplabv3_resnet_v2", "resnet_v2_micro")
    prefix = save_tf1(tmp_path / "model.ckpt", values)
    assert_holds(import_micro(prefix, {**MICRO_REPORT, "output_stride": 8}), values)


# ---- models of this project, and of keras.applications


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A micro model with random weights, and its file."""
    model = built(MICRO_REPORT, CLASSES, seed=5)
    path = tmp_path_factory.mktemp("own") / "model.keras"
    save_model(model, path, spec_of({}))
    return model, path


def test_a_model_of_this_project_is_imported_at_any_output_stride(own):
    model, path = own
    same = import_micro(path, MICRO_REPORT, file_format="segrepro")
    np.testing.assert_array_equal(same(picture(33, 48)[None]), model(picture(33, 48)[None]))
    finer = import_micro(path, {**MICRO_REPORT, "output_stride": 8}, file_format="segrepro")
    for ours, theirs in zip(finer.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "classes", "message"),
    [
        (
            MICRO_RELEASED,
            CLASSES,
            r"holds another network than deeplabv3plus_xception_micro: it lacks \S+, .*; it has besides",
        ),
        (MICRO_REPORT, 7, r"holds a classifier of 4 classes, but deeplabv3_resnet_v2_micro has 7; import it"),
        ({**MICRO_REPORT, "aspp_channels": 9}, CLASSES, r"of another shape is \S+ \(.*, 8\) for \(.*, 9\)"),
        ({**MICRO_REPORT, "batch_norm_epsilon": 1e-2}, CLASSES, r"layer \S+\.epsilon is 1e-05, but .* has 0\.01"),
        ({**MICRO_REPORT, "normalisation": "caffe"}, CLASSES, r"layer normalise\.mode is 'mean_rgb', but .* 'caffe'"),
    ],
)
def test_a_model_of_another_network_is_refused(own, network, classes, message):
    with pytest.raises(UserError, match=message) as error:
        import_micro(own[1], network, classes, file_format="segrepro")
    assert_one_sentence(error)


def test_files_that_are_no_model_are_refused(tmp_path, own):
    cut = tmp_path / "cut.keras"
    cut.write_bytes(own[1].read_bytes()[:3000])
    for path in (cut, tmp_path / "none.keras", Path(__file__)):
        with pytest.raises(UserError, match="not a model that can be loaded") as error:
            import_micro(path, MICRO_REPORT, file_format="segrepro")
        assert_one_sentence(error)
    with pytest.raises(UserError, match="files of format segrepro hold none; use 'plain'"):
        import_micro(own[1], MICRO_REPORT, file_format="segrepro", averages="ema")


def test_keras_applications_weights_set_the_backbone(tmp_path):
    whole = built(MICRO_REPORT, CLASSES, seed=5)
    source = keras.Model(whole.input, whole.get_layer("post_bn").output)
    source.save(tmp_path / "notop.keras")
    model = import_micro(tmp_path / "notop.keras", MICRO_REPORT, file_format="keras_applications")
    assert not np.array_equal(model.get_layer("aspp0_conv").kernel, whole.get_layer("aspp0_conv").kernel)
    for layer in source.layers:
        for mine, its in zip(model.get_layer(layer.name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, its)


# ---- the verb


def test_the_verb_writes_a_model_that_can_be_used(tmp_path):
    values = tf1_values(built(TINY_REPORT, CLASSES), "tf1_deeplabv3_resnet_v2", "resnet_v2_tiny")
    prefix = save_tf1(tmp_path / "model.ckpt", values)
    spec_path, out = tmp_path / "spec.yaml", tmp_path / "model.keras"
    spec_path.write_text(yaml.safe_dump(spec(TINY_REPORT).plain()))
    options = {"--spec": spec_path, "--weights": prefix, "--format": "tf1_deeplabv3_resnet_v2", "--out": out}
    arguments = [str(part) for option in options.items() for part in option]
    command = [sys.executable, "-m", "segrepro", "import-weights", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model.keras: deeplabv3_resnet_v2_tiny, " in done.stdout
    model = load_model(out)
    assert_holds(model, values, backbone="resnet_v2_tiny")
    np.testing.assert_array_equal(
        model(picture(33, 33)[None]), import_micro(prefix, TINY_REPORT)(picture(33, 33)[None])
    )


def test_the_verb_fails_in_one_sentence_and_leaves_nothing(tmp_path):
    spec_path = tmp_path / "spec.yaml"
    spec_path.write_text(yaml.safe_dump(spec(RELEASED).plain()))
    options = {"--spec": spec_path, "--weights": tmp_path, "--out": tmp_path / "model.keras"}
    arguments = [str(part) for option in options.items() for part in option]
    with pytest.raises(SystemExit, match=r"^segrepro import-weights: network\.architecture is 'deeplabv3plus', but"):
        cli.main(["import-weights", "--format", "tf1_deeplabv3_resnet_v2", *arguments])
    assert list(tmp_path.iterdir()) == [spec_path]
