"""Weights from anywhere: names complete both ways, the original's logits, and one sentence for what does not fit."""

import csv
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import slim_reference
import tensorflow as tf
import yaml

from networks import built, described, spec_of
from segrepro import cli
from segrepro.errors import UserError
from segrepro.models.importing import check_network, import_weights, load_weights
from segrepro.models.layers import resize_bilinear
from segrepro.models.model_files import load_model, save_model
from segrepro.models.tf1_checkpoints import open_checkpoint
from segrepro.models.tf1_names import LAYOUTS
from segrepro.models.weights import APPLICATIONS

REPORT = {
    "architecture": "deeplabv3",
    "backbone": "resnet_v2_101",
    "variant": "slim",
    "output_stride": 16,
    "multi_grid": [1, 1, 1],
    "aspp_rates": [6, 12, 18],
    "batch_norm_epsilon": 1e-5,
    "normalisation": "mean_rgb",
    "resize": "legacy",
}
RESNET_V1 = {**REPORT, "backbone": "resnet_v1_101", "variant": "keras"}
RELEASED = {
    "architecture": "deeplabv3plus",
    "backbone": "xception_65",
    "variant": "released",
    "output_stride": 16,
    "multi_grid": [1, 1, 1],
    "aspp_rates": [6, 12, 18],
    "normalisation": "keras_tf",
    "resize": "align_corners",
}
TINY_REPORT = {**REPORT, "backbone": "resnet_v2_tiny", "aspp_channels": 8}
TINY_RELEASED = {
    **RELEASED,
    "backbone": "xception_tiny",
    "aspp_channels": 8,
    "decoder_channels": 8,
    "low_level_channels": 4,
}
CLASSES = 4

# variables, values, sha256 of the sorted lines "name 1,2,3": of the published lists of variables
PUBLISHED = {
    "tf1_deeplabv3_resnet_v2": (574, 58_170_133, "8f1c43145e2873a0e5685a4ab2aa9cac76662829e032bf507c3a4be9a0cff3eb"),
    "tf1_deeplabv3plus_xception": (732, 41_258_213, "6712973971e44f6a4b7fd72185e38e51076cc374f565bd731a2804b99661fde2"),
}
# format -> network, reference forward pass, gain of its random kernels, list of variables
ORIGINALS = {
    "tf1_deeplabv3_resnet_v2": (REPORT, slim_reference.deeplabv3, 0.5, "names_resnet_v2_101_v3.tsv"),
    "tf1_deeplabv3plus_xception": (RELEASED, slim_reference.deeplabv3plus, 1.3, "names_xception_65_v3plus.tsv"),
}
# maps of 33, 17, 9, 5 rows; and of 32, 16, 8, 4 rows, 48, 24, 12, 6 columns
SIZES = ((65, 65), (64, 96))


def spec(network, classes=CLASSES, seed=0):
    return spec_of(network, classes=classes, seed=seed)


def save_tf1(prefix, values) -> Path:
    """Write a TF1 checkpoint, as tf.train.Saver does."""
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[values[name] for name in names],
    )
    return Path(prefix)


def tf1_values(model, file_format, backbone):
    """The variables of a model by TF1 name, with random values."""
    rng = np.random.default_rng(1)
    values = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = LAYOUTS[file_format].tf1_name(layer.name, variable.name, backbone=backbone)
            if name is not None:
                assert name not in values
                values[name] = rng.uniform(0.5, 1, variable.shape).astype(np.float32)
    return values


def extras(values):
    """What a training leaves in a checkpoint besides the model."""
    return {"global_step": np.int64(30000), **{f"{name}/Momentum": np.zeros_like(values[name]) for name in values}}


def picture(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_one_sentence(error):
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 700


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
            self.model = import_weights(spec(self.network, 21), prefix, file_format=file_format)


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


# ---- every place that a checkpoint may be in


@pytest.fixture(scope="module")
def tiny():
    """A tiny network in the report's form, and values for a checkpoint of it."""
    model = built(TINY_REPORT, CLASSES)
    return model, tf1_values(model, "tf1_deeplabv3_resnet_v2", "resnet_v2_tiny")


@functools.cache
def tiny_network(description: str, classes: int):
    """A network and its first weights; built once for all tests."""
    model = built(json.loads(description), classes)
    return model, model.get_weights()


def import_tiny(path, network=TINY_REPORT, classes=CLASSES, file_format="tf1_deeplabv3_resnet_v2", **options):
    """Import into a network as it was built; the same network each time."""
    check_network(described(network), file_format)
    model, first = tiny_network(json.dumps(network), classes)
    model.set_weights(first)
    load_weights(model, described(network), path, file_format=file_format, **options)
    return model


def assert_holds(model, values, file_format="tf1_deeplabv3_resnet_v2", backbone="resnet_v2_tiny"):
    count = 0
    for layer in model.layers:
        for variable in layer.weights:
            name = LAYOUTS[file_format].tf1_name(layer.name, variable.name, backbone=backbone)
            if name is not None:
                np.testing.assert_array_equal(variable.numpy(), values[name], err_msg=name)
                count += 1
    assert count == len(values)


@pytest.mark.parametrize("given", ["", ".index", ".data-00000-of-00001"])
def test_a_checkpoint_is_found_by_its_prefix_and_by_its_files(tmp_path, tiny, given):
    prefix = save_tf1(tmp_path / "model.ckpt-7", tiny[1] | extras(tiny[1]))
    assert_holds(import_tiny(f"{prefix}{given}"), tiny[1])


def test_a_checkpoint_of_the_first_format_is_one_file(tmp_path, tiny):
    path, names = tmp_path / "resnet.ckpt", sorted(tiny[1])
    tf.raw_ops.Save(filename=str(path), tensor_names=names, data=[tiny[1][name] for name in names])
    assert_holds(import_tiny(path), tiny[1])
    assert_holds(import_tiny(tmp_path), tiny[1])


def test_a_folder_holds_one_checkpoint_at_any_depth(tmp_path, tiny):
    (tmp_path / "a" / "b").mkdir(parents=True)
    save_tf1(tmp_path / "a" / "b" / "model.ckpt", tiny[1])
    (tmp_path / "a" / "frozen_inference_graph.pb").write_bytes(b"graph")
    (tmp_path / "a" / "checkpoint").write_text('model_checkpoint_path: "elsewhere"\n')
    assert_holds(import_tiny(tmp_path), tiny[1])


def pack(archive, folder):
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                tar.add(file, file.relative_to(folder).as_posix())
    return archive


def test_an_archive_holds_one_checkpoint(tmp_path, tiny, monkeypatch):
    folder = tmp_path / "files" / "deeplabv3_pascal_train_aug"
    folder.mkdir(parents=True)
    save_tf1(folder / "model.ckpt", tiny[1])
    (folder / "frozen_inference_graph.pb").write_bytes(b"graph")
    (folder / "._model.ckpt.index").write_bytes(b"left by another system")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    assert_holds(import_tiny(pack(tmp_path / "released.tar.gz", tmp_path / "files")), tiny[1])
    assert not list(scratch.iterdir())


# ---- what a checkpoint holds besides


def test_imagenet_weights_set_the_backbone_and_leave_the_head(tmp_path):
    for network, backbone in ((TINY_REPORT, "resnet_v2_tiny"), (TINY_RELEASED, "xception_tiny")):
        fresh = built(network, CLASSES)
        values = tf1_values(fresh, "tf1_slim_imagenet", backbone)
        classifier = {f"{backbone}/logits/weights": np.ones((1, 1, 9, 1001), np.float32)}
        classifier[f"{backbone}/logits/biases"] = np.ones(1001, np.float32)
        prefix = save_tf1(tmp_path / backbone, values | classifier | extras(values | classifier))
        model = import_tiny(prefix, network, file_format="tf1_slim_imagenet")
        assert_holds(model, values, "tf1_slim_imagenet", backbone)
        untouched = [v for layer in model.layers for v in layer.weights if v.path.startswith(("aspp", "logits"))]
        before = {v.path: v.numpy() for v in fresh.weights}
        assert untouched
        for variable in untouched:
            np.testing.assert_array_equal(variable, before[variable.path])
        left = save_tf1(tmp_path / f"{backbone}_more", values | {f"{backbone}/mean_rgb": np.zeros(3, np.float32)})
        with pytest.raises(UserError, match=f"it has besides {backbone}/mean_rgb; take"):
            import_tiny(left, network, file_format="tf1_slim_imagenet")


def test_averages_or_the_plain_values_are_imported(tmp_path):
    model = built(TINY_RELEASED, CLASSES)
    options = {"network": TINY_RELEASED, "file_format": "tf1_deeplabv3plus_xception"}
    values = tf1_values(model, "tf1_deeplabv3plus_xception", "xception_tiny")
    averages = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in values.items() if "moving" not in name}
    prefix = save_tf1(tmp_path / "model.ckpt", values | averages | extras(values))
    where = ("tf1_deeplabv3plus_xception", "xception_tiny")
    assert_holds(import_tiny(prefix, **options), values, *where)
    averaged = {name: value + ("moving" not in name) for name, value in values.items()}
    assert_holds(import_tiny(prefix, averages="ema", **options), averaged, *where)
    averages |= {f"{name}/ExponentialMovingAverage": value + 1 for name, value in values.items()}
    every = save_tf1(tmp_path / "every.ckpt", values | averages)
    averaged = {name: value + 1 for name, value in values.items()}
    assert_holds(import_tiny(every, averages="ema", **options), averaged, *where)


def test_averages_must_be_there_and_of_every_weight(tmp_path, tiny):
    values = tiny[1]
    plain = save_tf1(tmp_path / "plain.ckpt", values)
    with pytest.raises(UserError, match=r"holds no moving averages .*; take averages 'plain'"):
        import_tiny(plain, averages="ema")
    some = {f"{name}/ExponentialMovingAverage": v for name, v in values.items() if name.endswith("gamma")}
    with pytest.raises(UserError, match=r"it lacks \S+/ExponentialMovingAverage") as error:
        import_tiny(save_tf1(tmp_path / "some.ckpt", values | some), averages="ema")
    assert_one_sentence(error)
    with pytest.raises(UserError, match="averages is 'mean': use one of plain, ema"):
        import_tiny(plain, averages="mean")


@pytest.mark.parametrize("slot", ["Momentum", "Adam", "Adam_1", "RMSProp_1", "quant/min"])
def test_what_any_optimiser_keeps_for_a_variable_is_passed_over(tmp_path, tiny, slot):
    slots = {f"{name}/{slot}": np.zeros(3, np.float32) for name in tiny[1]}
    with_slots = import_tiny(save_tf1(tmp_path / "model.ckpt", tiny[1] | slots)).get_weights()
    plain = import_tiny(save_tf1(tmp_path / "plain.ckpt", tiny[1])).get_weights()
    for a, b in zip(with_slots, plain, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["global_step_2", "conv9/weights", "conv9/weights/Momentum", "beta1_power"])
def test_nothing_else_is_passed_over(tmp_path, tiny, name):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1] | {name: np.zeros(3, np.float32)})
    with pytest.raises(UserError, match=f"it has besides {name}; take"):
        import_tiny(prefix)


def test_every_variable_must_be_there(tmp_path, tiny):
    for name in ("resnet_v2_tiny/postnorm/moving_mean", "upsampling_logits/conv_1x1/biases"):
        rest = {other: value for other, value in tiny[1].items() if other != name}
        with pytest.raises(UserError, match=f"holds another network than deeplabv3_resnet_v2_tiny: it lacks {name};"):
            import_tiny(save_tf1(tmp_path / "model.ckpt", rest))


def test_a_failed_import_sets_nothing(tmp_path, tiny):
    broken = dict(tiny[1])
    broken["upsampling_logits/conv_1x1/biases"] = np.array([1, 2, 3, np.nan], np.float32)
    prefix = save_tf1(tmp_path / "model.ckpt", broken)
    model = built(TINY_REPORT, CLASSES)
    before = model.get_weights()
    with pytest.raises(UserError, match="upsampling_logits/conv_1x1/biases holds no finite numbers"):
        load_weights(model, described(TINY_REPORT), prefix, file_format="tf1_deeplabv3_resnet_v2")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ---- checkpoints that do not fit


def test_a_checkpoint_of_another_network_is_refused(tmp_path, tiny):
    other = built(TINY_RELEASED, CLASSES)
    prefix = save_tf1(tmp_path / "model.ckpt", tf1_values(other, "tf1_deeplabv3plus_xception", "xception_tiny"))
    with pytest.raises(UserError, match=r"it lacks resnet_v2_tiny/\S+, .* more; it has besides aspp0/") as error:
        import_tiny(prefix)
    assert_one_sentence(error)
    wider = {**TINY_REPORT, "aspp_channels": 16}
    prefix = save_tf1(tmp_path / "tiny.ckpt", tiny[1])
    with pytest.raises(UserError, match=r"of another shape is aspp/\S+ \(.*, 8\) for \(.*, 16\)") as error:
        import_tiny(prefix, wider)
    assert_one_sentence(error)


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, tiny):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    with pytest.raises(
        UserError, match="holds a classifier of 4 classes, but deeplabv3_resnet_v2_tiny has 5; "
    ) as error:
        import_tiny(prefix, classes=5)
    assert_one_sentence(error)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_data_file_is_refused(tmp_path, tiny, kept):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(
        UserError, match=r"model\.ckpt: is truncated, damaged or no TF1 checkpoint .* fetch it"
    ) as error:
        import_tiny(prefix)
    assert_one_sentence(error)


def test_changed_bytes_are_refused(tmp_path, tiny):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    changed = bytearray(data.read_bytes())
    changed[1000] ^= 1
    data.write_bytes(changed)
    with pytest.raises(UserError, match="is truncated, damaged"):
        import_tiny(prefix)


@pytest.mark.parametrize("content", [b"", b"no table at all" * 100])
def test_a_damaged_index_is_refused(tmp_path, tiny, content):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    (tmp_path / "model.ckpt.index").write_bytes(content)
    with pytest.raises(UserError, match="is truncated, damaged"):
        import_tiny(prefix)


@pytest.mark.parametrize("by", ["prefix", "folder", "data file"])
def test_a_missing_index_is_named(tmp_path, tiny, by):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    (tmp_path / "model.ckpt.index").unlink()
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    with pytest.raises(UserError, match=r"its file model\.ckpt\.index is missing; put it beside model\.ckpt\.data"):
        import_tiny({"prefix": prefix, "folder": tmp_path, "data file": data}[by])


def test_a_missing_data_file_is_named(tmp_path, tiny):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.rename(tmp_path / "model.ckpt.data-00000-of-00002")
    with pytest.raises(UserError, match=r"its file model\.ckpt\.data-00001-of-00002 is missing"):
        import_tiny(prefix)
    (tmp_path / "model.ckpt.data-00000-of-00002").unlink()
    with pytest.raises(UserError, match=r"its file model\.ckpt\.data-00000-of-00001 is missing"):
        import_tiny(prefix)


def test_two_checkpoints_are_too_many(tmp_path, tiny):
    for step in (5, 10):
        save_tf1(tmp_path / "files" / f"model.ckpt-{step}", tiny[1])
    archive = pack(tmp_path / "both.tar.gz", tmp_path / "files")
    for place in (tmp_path / "files", archive):
        with pytest.raises(UserError, match=r"holds 2 checkpoints \(model\.ckpt-10, model\.ckpt-5\); give") as error:
            import_tiny(place)
        assert str(error.value).startswith(str(place))
        assert_one_sentence(error)
    # of the same name, in two folders
    for folder in ("a", "b"):
        shutil.copytree(tmp_path / "files", tmp_path / "twice" / folder, ignore=shutil.ignore_patterns("*-5.*"))
    with pytest.raises(UserError, match="holds 2 checkpoints"):
        import_tiny(pack(tmp_path / "twice.tar.gz", tmp_path / "twice"))


def test_places_without_a_checkpoint_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no TF1 checkpoint; give"):
        import_tiny(tmp_path / "empty")
    with pytest.raises(UserError, match=r"model\.ckpt: no such checkpoint; give"):
        import_tiny(tmp_path / "nowhere" / "model.ckpt")
    (tmp_path / "notes.txt").write_text("no checkpoint\n" * 100)
    with pytest.raises(UserError, match=r"notes\.txt: is truncated, damaged or no TF1 checkpoint"):
        import_tiny(tmp_path / "notes.txt")
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "frozen_inference_graph.pb").write_bytes(b"graph")
    archive = pack(tmp_path / "graph.tar.gz", tmp_path / "graph")
    with pytest.raises(UserError, match=r"graph\.tar\.gz: holds no TF1 checkpoint"):
        import_tiny(archive)


def test_a_damaged_or_hostile_archive_is_refused(tmp_path, tiny):
    save_tf1(tmp_path / "files" / "model.ckpt", tiny[1])
    archive = pack(tmp_path / "whole.tar.gz", tmp_path / "files")
    half = tmp_path / "half.tar.gz"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(UserError, match=r"half\.tar\.gz.* truncated or damaged"):
        import_tiny(half)
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("../model.ckpt.index")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"leads out of the archive"):
        import_tiny(tmp_path / "evil.tar.gz")
    assert not (tmp_path / "model.ckpt.index").exists()


def test_integers_are_no_weights(tmp_path, tiny):
    name = "upsampling_logits/conv_1x1/biases"
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1] | {name: np.zeros(CLASSES, np.int32)})
    with open_checkpoint(prefix) as checkpoint, pytest.raises(UserError, match=f"{name} holds no finite numbers"):
        checkpoint.read(name)


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
def test_a_spec_that_computes_something_else_is_refused(tmp_path, file_format, network, message):
    with pytest.raises(UserError, match=message) as error:
        import_weights(spec(network, 21), tmp_path, file_format=file_format)
    assert_one_sentence(error)


def test_weights_are_valid_at_any_output_stride(tmp_path, tiny):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    assert_holds(import_tiny(prefix, {**TINY_REPORT, "output_stride": 8}), tiny[1])


# ---- models of this project, and of keras.applications


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A tiny model with random weights, and its file."""
    model = built(TINY_RELEASED, CLASSES, seed=5)
    path = tmp_path_factory.mktemp("own") / "model.keras"
    save_model(model, path)
    return model, path


def test_a_model_of_this_project_is_imported_at_any_output_stride(own):
    model, path = own
    same = import_tiny(path, TINY_RELEASED, file_format="segrepro")
    np.testing.assert_array_equal(same(picture(33, 48)[None]), model(picture(33, 48)[None]))
    finer = import_tiny(path, {**TINY_RELEASED, "output_stride": 8}, file_format="segrepro")
    for ours, theirs in zip(finer.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("network", "classes", "message"),
    [
        (
            TINY_REPORT,
            CLASSES,
            r"holds another network than deeplabv3_resnet_v2_tiny: it lacks \S+, .*; it has besides",
        ),
        (TINY_RELEASED, 7, r"holds a classifier of 4 classes, but deeplabv3plus_xception_tiny has 7; import it"),
        ({**TINY_RELEASED, "decoder_channels": 9}, CLASSES, r"of another shape is decoder\.\S+ \(.*\) for \("),
        ({**TINY_RELEASED, "batch_norm_epsilon": 1e-2}, CLASSES, r"layer \S+\.epsilon is 0\.001, but .* has 0\.01"),
        ({**TINY_RELEASED, "normalisation": "caffe"}, CLASSES, r"layer normalise\.mode is 'keras_tf', but .* 'caffe'"),
    ],
)
def test_a_model_of_another_network_is_refused(own, network, classes, message):
    with pytest.raises(UserError, match=message) as error:
        import_tiny(own[1], network, classes, file_format="segrepro")
    assert_one_sentence(error)


def test_files_that_are_no_model_are_refused(tmp_path, own):
    cut = tmp_path / "cut.keras"
    cut.write_bytes(own[1].read_bytes()[:3000])
    for path in (cut, tmp_path / "none.keras", Path(__file__)):
        with pytest.raises(UserError, match="not a model that can be loaded") as error:
            import_tiny(path, TINY_RELEASED, file_format="segrepro")
        assert_one_sentence(error)
    with pytest.raises(UserError, match="files of format segrepro hold none; use 'plain'"):
        import_tiny(own[1], TINY_RELEASED, file_format="segrepro", averages="ema")


def test_keras_applications_weights_set_the_backbone(tmp_path):
    source = APPLICATIONS["resnet_v2_50"](weights=None, include_top=False, input_shape=(None, None, 3))
    source.save_weights(tmp_path / "notop.weights.h5")
    network = {**TINY_REPORT, "backbone": "resnet_v2_50"}
    model = import_tiny(tmp_path / "notop.weights.h5", network, file_format="keras_applications")
    for layer in source.layers:
        if layer.weights:
            ours = model.get_layer(layer.name).get_weights()
            for mine, its in zip(ours, layer.get_weights(), strict=True):
                np.testing.assert_array_equal(mine, its)


# ---- the verb


def test_the_verb_writes_a_model_that_can_be_used(tmp_path, tiny):
    prefix = save_tf1(tmp_path / "model.ckpt", tiny[1])
    spec_path, out = tmp_path / "spec.yaml", tmp_path / "model.keras"
    spec_path.write_text(yaml.safe_dump(spec(TINY_REPORT).plain()))
    code = "import sys; from segrepro import cli; cli.VERBS.setdefault('import-weights', ''); cli.main(sys.argv[1:])"
    options = {"--spec": spec_path, "--weights": prefix, "--format": "tf1_deeplabv3_resnet_v2", "--out": out}
    arguments = [str(part) for option in options.items() for part in option]
    command = [sys.executable, "-c", code, "import-weights", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "model.keras: deeplabv3_resnet_v2_tiny, " in done.stdout
    model = load_model(out)
    assert_holds(model, tiny[1])
    np.testing.assert_array_equal(model(picture(33, 33)[None]), import_tiny(prefix)(picture(33, 33)[None]))


def test_the_verb_fails_in_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(cli.VERBS, "import-weights", "import published weights")
    spec_path = tmp_path / "spec.yaml"
    spec_path.write_text(yaml.safe_dump(spec(TINY_RELEASED).plain()))
    options = {"--spec": spec_path, "--weights": tmp_path, "--out": tmp_path / "model.keras"}
    arguments = [str(part) for option in options.items() for part in option]
    with pytest.raises(SystemExit, match=r"^segrepro import-weights: network\.architecture is 'deeplabv3plus', but"):
        cli.main(["import-weights", "--format", "tf1_deeplabv3_resnet_v2", *arguments])
    assert list(tmp_path.iterdir()) == [spec_path]
