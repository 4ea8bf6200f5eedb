"""Which GPUs a training takes, how many share its micro-batches, and what it says of them; on pretended GPUs."""

import os
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from segrepro.errors import UserError
from segrepro.training.choices import gpus_that_share
from segrepro.training.devices import (
    AUTOTUNE,
    devices_record,
    devices_sentence,
    devices_strategy,
    prepare_tensorflow,
    use_gpus,
)
from training_setup import PROTOCOL

WHOLE = PROTOCOL | {"micro_batch": 1, "crop": None}
CROPS = PROTOCOL | {"micro_batch": 16, "crop": 513}


@pytest.fixture
def four_gpus(monkeypatch):
    """Four GPUs as TensorFlow lists them, and those of them that it was told to use."""
    gpus = [SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(4)]
    state = SimpleNamespace(used=list(gpus), growing=[])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa, GPU-bb,7,3")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: setattr(state, "used", devices))
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: state.used)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda gpu, on: state.growing.append(gpu))
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"device_name": f"NVIDIA {gpu.name[-1]}", "compute_capability": (8, 0)},
    )
    return state


@pytest.fixture
def told(monkeypatch):
    """What `prepare_tensorflow` says to TensorFlow and Keras, which the other tests of this process would notice."""
    said = {}
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda threads: None)
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", lambda threads: None)
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: said.update(deterministic=True))
    monkeypatch.setattr(tf.config.experimental, "enable_tensor_float_32_execution", lambda on: said.update(tf32=on))
    monkeypatch.setattr(keras.mixed_precision, "set_global_policy", lambda policy: said.update(precision=policy))
    return said


def used(state) -> list[int]:
    return [int(gpu.name[-1]) for gpu in state.used]


@pytest.mark.parametrize(("micro_batch", "gpus", "expected"), [(16, 4, 4), (16, 3, 2), (1, 4, 1), (6, 4, 3), (8, 0, 0)])
def test_shares_are_equal(micro_batch, gpus, expected):
    assert gpus_that_share(micro_batch, gpus) == expected


@pytest.mark.parametrize(("count", "expected"), [(1, [0]), (2, [0, 1]), (0, [])])
def test_no_gpu_is_taken_that_was_not_asked_for(four_gpus, count, expected):
    use_gpus(count)
    assert used(four_gpus) == expected
    assert four_gpus.growing == four_gpus.used


@pytest.mark.parametrize(
    ("gpus", "deterministic", "one_size", "autotune"),
    [
        (1, True, True, "0"),  # what was fastest just then must not choose
        (1, False, False, "0"),  # each size would be tried out again
        (1, False, True, None),
        (0, True, False, None),
    ],
)
def test_cudnn_tries_its_algorithms_out_only_where_that_pays(
    four_gpus, told, monkeypatch, gpus, deterministic, one_size, autotune
):
    monkeypatch.delenv(AUTOTUNE, raising=False)
    prepare_tensorflow(1, gpus=gpus, deterministic=deterministic, one_size=one_size)
    assert os.environ.pop(AUTOTUNE, None) == autotune
    assert ("deterministic" in told) == deterministic


def test_what_the_user_says_of_cudnn_stays(four_gpus, told, monkeypatch):
    monkeypatch.setenv(AUTOTUNE, "1")
    prepare_tensorflow(1)
    assert os.environ[AUTOTUNE] == "1"


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (None, ("float32", False)),
        (PROTOCOL | {"precision": "mixed_bfloat16", "tf32": True}, ("mixed_bfloat16", True)),
        (PROTOCOL, ("float32", False)),
    ],
)
def test_precision_and_tf32_are_the_protocols(four_gpus, told, protocol, expected):
    prepare_tensorflow(1, protocol, gpus=0)
    assert (told["precision"], told["tf32"]) == expected


def test_more_gpus_than_there_are_is_an_error(four_gpus):
    with pytest.raises(UserError, match=r"5 GPUs are asked for, and this process sees 4 \(CUDA_VISIBLE_DEVICES=GPU-aa"):
        use_gpus(5)


def test_one_gpu_is_used_where_there_is_one(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: None)
    use_gpus(1)
    assert devices_sentence(devices_record(1, CROPS), 16, 1) == "devices: CPU"


@pytest.mark.parametrize(("micro_batch", "devices"), [(16, [0, 1, 2, 3]), (6, [0, 1, 2]), (1, None)])
def test_a_micro_batch_is_shared_by_those_that_divide_it(monkeypatch, micro_batch, devices):
    logical = [SimpleNamespace(name=f"/device:GPU:{i}") for i in range(4)]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: logical)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda names: names)
    strategy = devices_strategy(micro_batch)
    if devices is None:
        assert strategy is tf.distribute.get_strategy()
    else:
        assert strategy == [f"/device:GPU:{i}" for i in devices]


def test_the_record_names_the_gpus_that_shared_a_step(four_gpus):
    use_gpus(3)
    record = devices_record(2, CROPS)
    assert record["shared_by"] == 2
    assert record["gpus"] == [
        {"name": "NVIDIA 0", "compute_capability": "8.0", "id": "GPU-aa"},
        {"name": "NVIDIA 1", "compute_capability": "8.0", "id": "GPU-bb"},
    ]
    sentence = devices_sentence(record, 16, 3)
    assert sentence.startswith("devices: NVIDIA 0 (GPU-aa), NVIDIA 1 (GPU-bb); 2 share each micro-batch of 16")
    assert sentence.endswith("; 3 would not divide a micro-batch of 16 evenly")


def test_whole_pictures_go_to_one_gpu_which_is_said(four_gpus):
    use_gpus(4)
    record = devices_record(1, WHOLE)
    assert [gpu["id"] for gpu in record["gpus"]] == ["GPU-aa"]
    assert record["alone"] == "whole pictures come one by one"
    assert "whole pictures come one by one, which several GPUs cannot share" in devices_sentence(record, 1, 4)
    assert devices_record(1, CROPS)["alone"] is None
