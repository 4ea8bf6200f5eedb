"""The estimate of a training's memory: against measured peaks, and what is said when it does not fit."""

import functools

import keras
import pytest
import tensorflow as tf

from networks import built_of_zeros, micro_backbones
from segrepro.config import model_spec, parse_config
from segrepro.errors import UserError
from segrepro.training import memory
from segrepro.training.experiment import _run
from segrepro.training.memory import (
    Estimate,
    gpu_memory,
    longest_side,
    model_memory,
    peak_bytes,
    too_little_memory,
)
from training_setup import PROTOCOL, small_model, trainer_of, write_examples

MIB, GB = 2**20, 10**9


def graph_of(function, *shapes) -> tf.Graph:
    return tf.function(function).get_concrete_function(*(tf.TensorSpec(shape) for shape in shapes)).graph


def test_no_training_of_the_small_scale_needs_more_than_8_gb_of_gpu_memory(merged_config):
    """Nor 12 GB of RAM on CPUs, where TensorFlow takes less than the allowance."""
    config = parse_config(merged_config("small"))
    largest = {}
    for name, model in config.models.items():
        if model.train:
            protocol, spec = config.protocols[model.protocol], model_spec(config, name)
            shared = (spec.network.architecture, spec.network.model_dump().get("output_stride"), protocol.crop)
            # more classes and finer skips take more
            size = (spec.classes, -getattr(spec.network, "skip_stride", 0), protocol.micro_batch)
            key = (*shared, protocol.freeze_batch_norm)
            largest[key] = max(largest.get(key, ((0,), "")), (size, name))
    assert len(largest) == 5
    for _, name in largest.values():
        spec = model_spec(config, name)
        model = built_of_zeros(spec.network.model_dump(), spec.classes)
        estimated = model_memory(model, spec.protocol, spec.network.resize)
        assert too_little_memory(estimated, 8 * 10**9, spec.protocol) is None, name
        assert GB < estimated.total + memory.GPU_ALLOWANCE < 12 * GB, name


def test_a_tensor_counts_until_it_is_read_for_the_last_time():
    """Of three products of matrices, each of 400 bytes, two are needed at once: what is read, and what is made."""

    def chain(x):
        for _ in range(3):
            x = x @ tf.ones((10, 10))
        return x

    assert peak_bytes(graph_of(chain, (10, 10))) == 800


def test_what_the_gradient_reads_is_kept():
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(5):
                y = tf.sin(y)
        return tape.gradient(y, x)

    assert peak_bytes(graph_of(gradient, (100,))) >= 5 * 400


def test_a_reshaped_tensor_is_the_same_memory_and_what_nobody_wants_is_not_made():
    def function(x):
        unread = tf.tile(x, [100])
        del unread
        return tf.reshape(tf.tile(x, [2]), (2, 100))

    assert peak_bytes(graph_of(function, (100,))) == 800


@pytest.fixture(autouse=True, scope="module")
def micro_backbone():
    with micro_backbones():
        yield


@functools.cache
def network(backbone: str, precision: str = "float32") -> keras.Model:
    keys = {"backbone": backbone, "multi_grid": [1] * (3 if backbone.endswith("tiny") else 1)}
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        return built_of_zeros(keys | {"aspp_channels": 8, "aspp_rates": [1]}, 21)
    finally:
        keras.mixed_precision.set_global_policy(before)


def estimate(model: keras.Model, *, gpus: int = 1, **changes) -> Estimate:
    return model_memory(model, PROTOCOL | {"crop": 256, "micro_batch": 4} | changes, "legacy", gpus=gpus)


def test_the_estimate_follows_the_protocol():
    micro = network("resnet_v2_micro")
    plain, twice = estimate(micro), estimate(micro, micro_batch=8)
    assert twice.kept == plain.kept
    assert 1.8 < twice.peak / plain.peak < 2.1
    assert estimate(micro, micro_batch=8, gpus=2) == plain
    assert estimate(micro, accumulation=2, optimiser="adam", weight_decay=0.0).kept > 1.5 * plain.kept
    # batch norm computes in float32 whatever the precision; the micro network's peak is nearly the loss's alone
    single, half = (
        estimate(network("resnet_v2_tiny", precision), precision=precision).peak
        for precision in ("float32", "mixed_bfloat16")
    )
    assert 0.6 < half / single < 0.9


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ["'remat: true'", "runtime.gpus: 2", "micro_batch 2 with accumulation 2", "mixed_bfloat16", "below 17"]),
        ({"remat": True, "precision": "mixed_bfloat16"}, ["runtime.gpus: 2", "below 17", "GPU with more memory"]),
        ({"crop": None, "micro_batch": 1}, ["'remat: true'", "mixed_bfloat16", "GPU with more memory"]),
    ],
)
def test_what_does_not_fit_names_the_levers_that_the_protocol_has_left(changes, named):
    protocol = PROTOCOL | {"micro_batch": 4} | changes
    sentence = too_little_memory(Estimate(4 * 10**9, 10 * 10**9), 8 * 10**9, protocol)
    assert sentence.startswith("memory: this training will take about 15.5 GB, and the GPU has 8.0: ")
    assert all(word in sentence for word in named)
    assert ("'remat: true'" in sentence) == (not changes.get("remat"))
    assert ("micro_batch" in sentence) == (protocol.micro_batch > 1)
    assert too_little_memory(Estimate(4 * 10**9, 10 * 10**9), 16 * 10**9, protocol) is None


@pytest.mark.parametrize(
    ("answers", "bytes_"),
    [({"--id=0": "8192\n", "--id=GPU-1": "24576\n"}, 8192 * MIB), ({"--id=0": "8192\n"}, None), ({}, None)],
)
def test_the_smallest_gpu_counts_if_all_are_known(monkeypatch, answers, bytes_):
    monkeypatch.setattr(memory, "nvidia_smi", lambda chosen, *options: answers.get(chosen, ""))
    assert gpu_memory(["0", "GPU-1"]) == bytes_
    assert gpu_memory([]) is None


def test_whole_pictures_count_by_their_longest_side(tmp_path):
    assert longest_side([example.image for example in write_examples(tmp_path)]) == 24


def test_a_device_without_memory_is_told_in_a_sentence(tmp_path):
    trainer = trainer_of(tmp_path, model=small_model())

    def exhausted(_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    trainer.run = exhausted
    with pytest.raises(UserError, match="out of memory at step 1: set 'remat: true' of its protocol"):
        _run(trainer, [])
