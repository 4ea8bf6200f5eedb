"""TF1 checkpoints: found wherever they are, taken whole or refused in one sentence."""

import io
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tf1_files import (
    CLASSES,
    MICRO_RELEASED,
    MICRO_REPORT,
    assert_holds,
    assert_one_sentence,
    extras,
    import_micro,
    save_tf1,
    tf1_values,
)

from networks import built, described, micro_backbones
from segrepro.errors import UserError
from segrepro.models.importing import load_weights
from segrepro.models.tf1_checkpoints import open_checkpoint


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    with micro_backbones():
        yield


@pytest.fixture(scope="module")
def micro():
    """A micro network in the report's form, and values for a checkpoint of it."""
    model = built(MICRO_REPORT, CLASSES)
    return model, tf1_values(model, "tf1_deeplabv3_resnet_v2", "resnet_v2_micro")


# ---- every place that a checkpoint may be in


@pytest.mark.parametrize("given", ["", ".index", ".data-00000-of-00001"])
def test_a_checkpoint_is_found_by_its_prefix_and_by_its_files(tmp_path, micro, given):
    prefix = save_tf1(tmp_path / "model.ckpt-7", micro[1] | extras(micro[1]))
    assert_holds(import_micro(f"{prefix}{given}"), micro[1])


def test_a_checkpoint_of_the_first_format_is_one_file(tmp_path, micro):
    path, names = tmp_path / "resnet.ckpt", sorted(micro[1])
    tf.raw_ops.Save(filename=str(path), tensor_names=names, data=[micro[1][name] for name in names])
    assert_holds(import_micro(path), micro[1])
    assert_holds(import_micro(tmp_path), micro[1])


def test_a_folder_holds_one_checkpoint_at_any_depth(tmp_path, micro):
    (tmp_path / "a" / "b").mkdir(parents=True)
    save_tf1(tmp_path / "a" / "b" / "model.ckpt", micro[1])
    (tmp_path / "a" / "frozen_inference_graph.pb").write_bytes(b"graph")
    (tmp_path / "a" / "checkpoint").write_text('model_checkpoint_path: "elsewhere"\n')
    assert_holds(import_micro(tmp_path), micro[1])


def pack(archive, folder):
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                tar.add(file, file.relative_to(folder).as_posix())
    return archive


def test_an_archive_holds_one_checkpoint(tmp_path, micro, monkeypatch):
    folder = tmp_path / "files" / "deeplabv3_pascal_train_aug"
    folder.mkdir(parents=True)
    save_tf1(folder / "model.ckpt", micro[1])
    (folder / "frozen_inference_graph.pb").write_bytes(b"graph")
    (folder / "._model.ckpt.index").write_bytes(b"left by another system")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    assert_holds(import_micro(pack(tmp_path / "released.tar.gz", tmp_path / "files")), micro[1])
    assert not list(scratch.iterdir())


# ---- what a checkpoint holds besides


def test_imagenet_weights_set_the_backbone_and_leave_the_head(tmp_path):
    for network, backbone in ((MICRO_REPORT, "resnet_v2_micro"), (MICRO_RELEASED, "xception_micro")):
        fresh = built(network, CLASSES)
        values = tf1_values(fresh, "tf1_slim_imagenet", backbone)
        classifier = {f"{backbone}/logits/weights": np.ones((1, 1, 9, 1001), np.float32)}
        classifier[f"{backbone}/logits/biases"] = np.ones(1001, np.float32)
        prefix = save_tf1(tmp_path / backbone, values | classifier | extras(values | classifier))
        model = import_micro(prefix, network, file_format="tf1_slim_imagenet")
        assert_holds(model, values, "tf1_slim_imagenet", backbone)
        untouched = [v for layer in model.layers for v in layer.weights if v.path.startswith(("aspp", "logits"))]
        before = {v.path: v.numpy() for v in fresh.weights}
        assert untouched
        for variable in untouched:
            np.testing.assert_array_equal(variable, before[variable.path])
        left = save_tf1(tmp_path / f"{backbone}_more", values | {f"{backbone}/mean_rgb": np.zeros(3, np.float32)})
        with pytest.raises(UserError, match=f"it has besides {backbone}/mean_rgb; take"):
            import_micro(left, network, file_format="tf1_slim_imagenet")


def test_averages_or_the_plain_values_are_imported(tmp_path):
    model = built(MICRO_RELEASED, CLASSES)
    options = {"network": MICRO_RELEASED, "file_format": "tf1_deeplabv3plus_xception"}
    values = tf1_values(model, "tf1_deeplabv3plus_xception", "xception_micro")
    averages = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in values.items() if "moving" not in name}
    prefix = save_tf1(tmp_path / "model.ckpt", values | averages | extras(values))
    where = ("tf1_deeplabv3plus_xception", "xception_micro")
    assert_holds(import_micro(prefix, **options), values, *where)
    averaged = {name: value + ("moving" not in name) for name, value in values.items()}
    assert_holds(import_micro(prefix, averages="ema", **options), averaged, *where)
    averages |= {f"{name}/ExponentialMovingAverage": value + 1 for name, value in values.items()}
    every = save_tf1(tmp_path / "every.ckpt", values | averages)
    averaged = {name: value + 1 for name, value in values.items()}
    assert_holds(import_micro(every, averages="ema", **options), averaged, *where)


def test_averages_must_be_there_and_of_every_weight(tmp_path, micro):
    values = micro[1]
    plain = save_tf1(tmp_path / "plain.ckpt", values)
    with pytest.raises(UserError, match=r"holds no moving averages .*; take averages 'plain'"):
        import_micro(plain, averages="ema")
    some = {f"{name}/ExponentialMovingAverage": v for name, v in values.items() if name.endswith("gamma")}
    with pytest.raises(UserError, match=r"it lacks \S+/ExponentialMovingAverage") as error:
        import_micro(save_tf1(tmp_path / "some.ckpt", values | some), averages="ema")
    assert_one_sentence(error)
    with pytest.raises(UserError, match="averages is 'mean': use one of plain, ema"):
        import_micro(plain, averages="mean")


@pytest.mark.parametrize("slot", ["Momentum", "Adam", "Adam_1", "RMSProp_1", "quant/min"])
def test_what_any_optimiser_keeps_for_a_variable_is_passed_over(tmp_path, micro, slot):
    slots = {f"{name}/{slot}": np.zeros(3, np.float32) for name in micro[1]}
    with_slots = import_micro(save_tf1(tmp_path / "model.ckpt", micro[1] | slots)).get_weights()
    plain = import_micro(save_tf1(tmp_path / "plain.ckpt", micro[1])).get_weights()
    for a, b in zip(with_slots, plain, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["global_step_2", "conv9/weights", "conv9/weights/Momentum", "beta1_power"])
def test_nothing_else_is_passed_over(tmp_path, micro, name):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1] | {name: np.zeros(3, np.float32)})
    with pytest.raises(UserError, match=f"it has besides {name}; take"):
        import_micro(prefix)


def test_every_variable_must_be_there(tmp_path, micro):
    for name in ("resnet_v2_micro/postnorm/moving_mean", "upsampling_logits/conv_1x1/biases"):
        rest = {other: value for other, value in micro[1].items() if other != name}
        with pytest.raises(UserError, match=f"holds another network than deeplabv3_resnet_v2_micro: it lacks {name};"):
            import_micro(save_tf1(tmp_path / "model.ckpt", rest))


def test_a_failed_import_sets_nothing(tmp_path, micro):
    broken = dict(micro[1])
    broken["upsampling_logits/conv_1x1/biases"] = np.array([1, 2, 3, np.nan], np.float32)
    prefix = save_tf1(tmp_path / "model.ckpt", broken)
    model = built(MICRO_REPORT, CLASSES)
    before = model.get_weights()
    with pytest.raises(UserError, match="upsampling_logits/conv_1x1/biases holds no finite numbers"):
        load_weights(model, described(MICRO_REPORT), prefix, file_format="tf1_deeplabv3_resnet_v2")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# ---- checkpoints that do not fit


def test_a_checkpoint_of_another_network_is_refused(tmp_path, micro):
    other = built(MICRO_RELEASED, CLASSES)
    prefix = save_tf1(tmp_path / "model.ckpt", tf1_values(other, "tf1_deeplabv3plus_xception", "xception_micro"))
    with pytest.raises(UserError, match=r"it lacks resnet_v2_micro/\S+, .* more; it has besides aspp0/") as error:
        import_micro(prefix)
    assert_one_sentence(error)
    wider = {**MICRO_REPORT, "aspp_channels": 16}
    prefix = save_tf1(tmp_path / "micro.ckpt", micro[1])
    with pytest.raises(UserError, match=r"of another shape is aspp/\S+ \(.*, 8\) for \(.*, 16\)") as error:
        import_micro(prefix, wider)
    assert_one_sentence(error)


def test_a_checkpoint_of_other_classes_is_refused(tmp_path, micro):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    with pytest.raises(
        UserError, match="holds a classifier of 4 classes, but deeplabv3_resnet_v2_micro has 5; "
    ) as error:
        import_micro(prefix, classes=5)
    assert_one_sentence(error)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_truncated_data_file_is_refused(tmp_path, micro, kept):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(
        UserError, match=r"model\.ckpt: is truncated, damaged or no TF1 checkpoint .* fetch it"
    ) as error:
        import_micro(prefix)
    assert_one_sentence(error)


def test_changed_bytes_are_refused(tmp_path, micro):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    changed = bytearray(data.read_bytes())
    changed[1000] ^= 1
    data.write_bytes(changed)
    with pytest.raises(UserError, match="is truncated, damaged"):
        import_micro(prefix)


@pytest.mark.parametrize("content", [b"", b"no table at all" * 100])
def test_a_damaged_index_is_refused(tmp_path, micro, content):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    (tmp_path / "model.ckpt.index").write_bytes(content)
    with pytest.raises(UserError, match="is truncated, damaged"):
        import_micro(prefix)


@pytest.mark.parametrize("by", ["prefix", "folder", "data file"])
def test_a_missing_index_is_named(tmp_path, micro, by):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    (tmp_path / "model.ckpt.index").unlink()
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    with pytest.raises(UserError, match=r"its file model\.ckpt\.index is missing; put it beside model\.ckpt\.data"):
        import_micro({"prefix": prefix, "folder": tmp_path, "data file": data}[by])


def test_a_missing_data_file_is_named(tmp_path, micro):
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1])
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    data.rename(tmp_path / "model.ckpt.data-00000-of-00002")
    with pytest.raises(UserError, match=r"its file model\.ckpt\.data-00001-of-00002 is missing"):
        import_micro(prefix)
    (tmp_path / "model.ckpt.data-00000-of-00002").unlink()
    with pytest.raises(UserError, match=r"its file model\.ckpt\.data-00000-of-00001 is missing"):
        import_micro(prefix)


def test_two_checkpoints_are_too_many(tmp_path, micro):
    for step in (5, 10):
        save_tf1(tmp_path / "files" / f"model.ckpt-{step}", micro[1])
    archive = pack(tmp_path / "both.tar.gz", tmp_path / "files")
    for place in (tmp_path / "files", archive):
        with pytest.raises(UserError, match=r"holds 2 checkpoints \(model\.ckpt-10, model\.ckpt-5\); give") as error:
            import_micro(place)
        assert str(error.value).startswith(str(place))
        assert_one_sentence(error)
    # of the same name, in two folders
    for folder in ("a", "b"):
        shutil.copytree(tmp_path / "files", tmp_path / "twice" / folder, ignore=shutil.ignore_patterns("*-5.*"))
    with pytest.raises(UserError, match="holds 2 checkpoints"):
        import_micro(pack(tmp_path / "twice.tar.gz", tmp_path / "twice"))


def test_places_without_a_checkpoint_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no TF1 checkpoint; give"):
        import_micro(tmp_path / "empty")
    with pytest.raises(UserError, match=r"model\.ckpt: no such checkpoint; give"):
        import_micro(tmp_path / "nowhere" / "model.ckpt")
    (tmp_path / "notes.txt").write_text("no checkpoint\n" * 100)
    with pytest.raises(UserError, match=r"notes\.txt: is truncated, damaged or no TF1 checkpoint"):
        import_micro(tmp_path / "notes.txt")
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "frozen_inference_graph.pb").write_bytes(b"graph")
    archive = pack(tmp_path / "graph.tar.gz", tmp_path / "graph")
    with pytest.raises(UserError, match=r"graph\.tar\.gz: holds no TF1 checkpoint"):
        import_micro(archive)


def test_a_damaged_or_hostile_archive_is_refused(tmp_path, micro):
    save_tf1(tmp_path / "files" / "model.ckpt", micro[1])
    archive = pack(tmp_path / "whole.tar.gz", tmp_path / "files")
    half = tmp_path / "half.tar.gz"
    half.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(UserError, match=r"half\.tar\.gz.* truncated or damaged"):
        import_micro(half)
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("../model.ckpt.index")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match=r"leads out of the archive"):
        import_micro(tmp_path / "evil.tar.gz")
    assert not (tmp_path / "model.ckpt.index").exists()


def test_integers_are_no_weights(tmp_path, micro):
    name = "upsampling_logits/conv_1x1/biases"
    prefix = save_tf1(tmp_path / "model.ckpt", micro[1] | {name: np.zeros(CLASSES, np.int32)})
    with open_checkpoint(prefix) as checkpoint, pytest.raises(UserError, match=f"{name} holds no finite numbers"):
        checkpoint.read(name)
