"""What DeconvNet and FCN ask of the trainer: plateau, summed loss, frozen layers, whole pictures, statistics again."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from networks import built, spec_of
from segrepro.cli import main
from segrepro.errors import UserError
from segrepro.models.model_files import transfer_weights
from segrepro.stores.manifests import Example
from segrepro.training.batch_norm import reestimate_batch_norm
from segrepro.training.experiment import crop_fill
from segrepro.training.initial import _freeze_layers
from segrepro.training.optimiser import build_optimiser
from segrepro.training.plateau import Plateau, PlateauSchedule, hold_out
from segrepro.training.schedules import build_schedule
from training_setup import PROTOCOL, batches_of, small_model, stream_of, trainer_of, write_examples


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    return write_examples(tmp_path)


WHOLE = PROTOCOL | {"crop": None, "micro_batch": 1, "scale_range": [1.0, 1.0], "flip": False}
PLATEAU = PROTOCOL | {"schedule": "plateau", "plateau_every": 2, "plateau_patience": 1, "validation_pictures": 1}


# --- loss ----------------------------------------------------------------------------------------------------------


def test_a_summed_loss_with_its_rate_equals_the_mean_with_the_rate_times_the_pixels(examples, tmp_path):
    """FCN's lr 1e-10 on sums is 1e-10 x pixels on means; coupled decay is divided by the pixels likewise."""
    example = examples[:1]  # 20 x 24 pixels, one row of 24 void
    valid = 19 * 24
    fixed = WHOLE | {"schedule": "fixed", "momentum": 0.99, "momentum_form": "caffe", "steps": 5}
    weights = {}
    for name, changes in {
        "none": {"learning_rate": 1e-4, "weight_decay": 5e-1},
        "valid": {"learning_rate": 1e-4 * valid, "weight_decay": 5e-1 / valid},
    }.items():
        protocol = fixed | changes | {"loss_normalisation": name}
        trainer = trainer_of(tmp_path / name, protocol, model=small_model(batch_norm=False))
        trainer.run(batches_of(example, trainer, protocol))
        weights[name] = trainer.model.get_weights()
    start = small_model(batch_norm=False).get_weights()
    for summed, mean, before in zip(weights["none"], weights["valid"], start, strict=True):
        np.testing.assert_allclose(summed, mean, rtol=1e-4, atol=1e-6)
        assert np.abs(summed - before).max() > 1e-3


def test_the_history_shows_the_mean_loss_whatever_is_minimised(examples, tmp_path):
    rows = []
    for name in ("none", "valid"):
        protocol = WHOLE | {"steps": 1, "log_every": 1, "loss_normalisation": name, "learning_rate": 1e-9}
        trainer = trainer_of(tmp_path / name, protocol)
        trainer.run(batches_of(examples, trainer, protocol))
        rows.append(trainer.history[0][2])
    assert rows[0] == pytest.approx(rows[1])


# --- optimiser and frozen layers -----------------------------------------------------------------------------------


def test_adam_is_keras_adam():
    protocol = PROTOCOL | {"optimiser": "adam", "schedule": "fixed", "learning_rate": 0.01, "weight_decay": 0.0}
    ours = build_optimiser(protocol, build_schedule(protocol), small_model())
    theirs = keras.optimizers.Adam(0.01, beta_1=0.9)
    a, b = keras.Variable([1.0, -2.0]), keras.Variable([1.0, -2.0])
    for step in range(3):
        ours.apply([tf.constant([0.3, step - 1.0])], [a])
        theirs.apply([tf.constant([0.3, step - 1.0])], [b])
    np.testing.assert_allclose(a, b, rtol=1e-6)


def decayed_by(model: keras.Model, where: str) -> set[str]:
    """The paths of the variables that shrink by themselves: a step at rate 1 without any gradient."""
    model.set_weights([np.ones_like(value) for value in model.get_weights()])
    protocol = PROTOCOL | {"momentum": 0.0, "weight_decay": 0.5, "weight_decay_on": where}
    variables = model.trainable_variables
    build_optimiser(protocol, 1.0, model).apply([tf.zeros(v.shape) for v in variables], variables)
    values = {v.path: np.unique(v.numpy()).tolist() for v in variables}
    assert set(map(tuple, values.values())) <= {(1.0,), (0.5,)}
    return {path for path, value in values.items() if value == [0.5]}


def test_weight_decay_reaches_what_the_protocol_says():
    x = inputs = keras.Input((None, None, 4))
    x = keras.layers.Conv2D(4, 3, name="full")(x)
    x = keras.layers.DepthwiseConv2D(3, name="each")(x)  # its kernel is called kernel too
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(inputs, x)
    full = {"full/kernel"}
    kernels = full | {"each/kernel"}
    small = {"full/bias", "each/bias", "norm/gamma", "norm/beta"}
    assert decayed_by(model, "full_kernels") == full
    assert decayed_by(model, "kernels") == kernels
    assert decayed_by(model, "all_but_biases") == kernels | {"norm/gamma", "norm/beta"}
    assert decayed_by(model, "all") == kernels | small


def test_deeplabv3plus_decays_its_full_kernels_only():
    """The release's ``regularize_depthwise=False``: three depthwise kernels per module, five in ASPP and decoder."""
    network = {"architecture": "deeplabv3plus", "backbone": "xception_tiny", "decoder_channels": 8, "aspp_channels": 8}
    model = built(network, 3)
    kernels, full = decayed_by(model, "kernels"), decayed_by(model, "full_kernels")
    modules = 3 + 1 + 2  # entry, middle, exit
    assert kernels - full == {path for path in kernels if "depthwise" in path}
    assert len(kernels - full) == 3 * modules + 3 + 2
    # root, pointwise and shortcuts of the modules; image pooling, 1x1 and three rates, projection; decoder; classifier
    assert len(full) == 2 + (3 * modules + 3 + 1) + (1 + 1 + 3 + 1) + (1 + 2) + 1


def test_doubled_gradients_of_biases_are_a_doubled_rate_and_reach_deeplabv3plus_classifier_alone():
    """The release multiplies the gradients of variables called biases, before its momentum (train_utils.py)."""
    network = {"architecture": "deeplabv3plus", "backbone": "xception_tiny", "decoder_channels": 8, "aspp_channels": 8}
    model = built(network, 3)
    assert [v.path for v in model.trainable_variables if "bias" in v.path] == ["logits_conv/bias"]
    factor = {"bias": 2.0, "kernel": 1.0}
    variables = [keras.Variable(np.ones(2), name=name) for name in factor]
    protocol = PROTOCOL | {"momentum_form": "tf1", "weight_decay": 0.0, "bias_rate_factor": 2.0}
    ours, released = build_optimiser(protocol, 0.1, model), [np.ones(2), np.ones(2)]
    velocities = [np.zeros(2), np.zeros(2)]
    for step in range(4):
        gradient = np.array([1.0, step - 1.5])
        ours.apply([tf.constant(gradient, tf.float32)] * 2, variables)
        for k, name in enumerate(factor):
            velocities[k] = 0.9 * velocities[k] + factor[name] * gradient
            released[k] = released[k] - 0.1 * velocities[k]
    for variable, expected in zip(variables, released, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-5)


def test_crops_are_filled_as_the_protocol_says():
    model = built({"architecture": "deeplabv3", "backbone": "resnet_v2_tiny", "normalisation": "mean_rgb"}, 3)
    assert crop_fill(model, PROTOCOL | {"pad_picture": "zero"}) == (0, 0, 0)
    assert crop_fill(model, PROTOCOL | {"pad_picture": "mean"}) == (123.68, 116.779, 103.939)


def test_frozen_layers_stay_as_they_are(examples, tmp_path):
    model = small_model()
    _freeze_layers(model, ["conv"])
    before = model.get_layer("conv").get_weights()
    head = model.get_layer("logits").get_weights()
    trainer = trainer_of(tmp_path, model=model)
    trainer.run(batches_of(examples, trainer))
    np.testing.assert_array_equal(model.get_layer("conv").get_weights()[0], before[0])
    assert not np.array_equal(model.get_layer("logits").get_weights()[0], head[0])


def test_freezing_no_layer_is_a_mistake():
    with pytest.raises(UserError, match="starts with 'block1_'"):
        _freeze_layers(small_model(), ["block1_"])


# --- init ----------------------------------------------------------------------------------------------------------


def _with_skip() -> keras.Model:
    base = small_model(1)
    x = keras.layers.Conv2D(3, 1, name="skip")(base.get_layer("relu").output)
    return keras.Model(base.input, keras.layers.Add(name="sum")([base.output, x]), name="more")


def test_a_network_with_more_layers_starts_from_one_with_fewer_when_asked():
    source, target = small_model(0), _with_skip()
    fresh = target.get_layer("skip").get_weights()[0].copy()
    assert transfer_weights(source, target, head="extend") == ["skip"]
    np.testing.assert_array_equal(
        target.get_layer("logits").get_weights()[0], source.get_layer("logits").get_weights()[0]
    )
    np.testing.assert_array_equal(target.get_layer("skip").get_weights()[0], fresh)
    with pytest.raises(UserError, match="'skip' is not in model"):
        transfer_weights(source, target, head="keep")


def test_extending_another_network_altogether_is_refused():
    inputs = keras.Input((None, None, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(3, 1, name="only")(inputs), name="other")
    with pytest.raises(UserError, match="no layer of 'other'"):
        transfer_weights(small_model(), other, head="extend")


# --- plateau -------------------------------------------------------------------------------------------------------


def test_held_out_pictures_keep_all_their_rows_apart(examples):
    rows = [Example(e.id, e.image, e.mask, (0, 0, 5, size)) for e in examples for size in (5, 6)]
    train, held = hold_out(rows, 2, seed=0)
    assert len(held) == 4
    assert {e.id for e in train} & {e.id for e in held} == set()
    assert hold_out(rows, 2, seed=0) == (train, held)
    assert any(hold_out(rows, 2, seed=s)[1] != held for s in range(1, 6))
    with pytest.raises(UserError, match="validation_pictures is 5"):
        hold_out(rows, 5, seed=0)


def test_the_rate_falls_when_accuracy_stops_rising():
    schedule = PlateauSchedule(start=0.1, factor=0.1)
    plateau = Plateau(small_model(), schedule, PLATEAU | {"plateau_patience": 2}, resize="half_pixel", validation=[1])
    accuracies = iter([0.5, 0.6, 0.55, 0.6, 0.7, 0.1, 0.1, 0.1])
    plateau.validation = [(0, 0)]
    plateau._counts = lambda pictures, masks: tf.constant([next(accuracies), 1.0], tf.float64)
    rates = []
    for step in range(1, 17):
        plateau.after_step(step)
        rates.append(float(schedule(step)))
    # looks at steps 2, 4, ...: the second vain one (step 8) reduces; better at 10; vain at 12 and 14
    np.testing.assert_allclose(rates[1::2], [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001], rtol=1e-5)


@pytest.mark.parametrize("killed_after", [3, 4])
def test_a_training_on_a_plateau_goes_on_exactly(examples, tmp_path, killed_after):
    train, held = hold_out(examples, 1, seed=0)

    def trainer_at(folder):
        validation = stream_of(held, PLATEAU).in_order()
        return trainer_of(folder, PLATEAU, validation=validation, checkpoint_every=1)

    whole = trainer_at(tmp_path / "whole")
    whole.run(batches_of(train, whole, PLATEAU))
    first = trainer_at(tmp_path / "killed")
    first.run(batches_of(train, first, PLATEAU).take(killed_after))
    second = trainer_at(tmp_path / "killed")
    assert second.step == killed_after
    second.run(batches_of(train, second, PLATEAU))
    np.testing.assert_array_equal(second.plateau.state, whole.plateau.state)
    for a, b in zip(whole.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_held_out_boxes_come_once_each_as_the_centre_of_what_is_trained_on(examples):
    boxes = [Example(e.id, e.image, e.mask, (2, 3, 20, 18), repeats=1 + i) for i, e in enumerate(examples)]
    protocol = PLATEAU | {"box_size": 16, "crop": 12, "micro_batch": 3, "scale_range": [1.0, 1.0]}
    batches = list(stream_of(boxes, protocol).in_order())
    assert [tuple(pictures.shape) for pictures, _ in batches] == [(3, 12, 12, 3), (2, 12, 12, 3)]
    whole = list(stream_of(boxes, protocol | {"crop": 16, "micro_batch": 5}).in_order())
    for part, full in zip(zip(*batches, strict=True), zip(*whole, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(part), full[0][:, 2:14, 2:14])
    twice = stream_of([Example(e.id, e.image, e.mask, repeats=2) for e in examples], WHOLE)
    assert [tuple(mask.shape) for _, mask in twice.in_order()] == [(1, 20 + i, 24) for i in range(5)]


def test_a_deconvnet_trains_on_boxes_past_its_looks_at_held_out_pictures(examples, tmp_path):
    network = {"architecture": "deconvnet", "backbone": "vgg_tiny", "input_size": 32, "fc_channels": 8}
    protocol = PLATEAU | {"box_size": 36, "crop": 32, "scale_range": [1.0, 1.0], "steps": 4, "learning_rate": 1e-3}
    boxes = [Example(e.id, e.image, e.mask, (-2, 0, 15, 18)) for e in examples]
    train, held = hold_out(boxes, 1, seed=0)
    validation = stream_of(held, protocol).in_order()
    trainer = trainer_of(tmp_path, protocol, model=built(network, 3), validation=validation)
    trainer.run(batches_of(train, trainer, protocol))
    assert trainer.step == 4
    assert 0 <= trainer.plateau.state[0] <= 1


# --- what a run may choose ----------------------------------------------------------------------------------------


def test_made_json_says_whether_all_steps_computed_the_same_bits_each_time(examples, tmp_path, monkeypatch):
    monkeypatch.setattr("segrepro.training.experiment.prepare_tensorflow", lambda *_, **options: told.append(options))
    network = {"architecture": "deeplabv3", "backbone": "resnet_v2_tiny", "resize": "half_pixel"}
    spec = spec_of(network, PROTOCOL | {"steps": 2}, name="small", classes=3)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.plain()))
    rows = [f"{e.id},{e.image.name},{e.mask.name}\n" for e in examples]
    (tmp_path / "list.csv").write_text("id,image,mask\n" + "".join(rows))
    names = {"model": "model.keras", "history": "history.csv", "made": "made.json", "checkpoints": "checkpoints"}
    files = [word for name, file in names.items() for word in (f"--{name}", str(tmp_path / file))]
    inputs = ["--spec", str(tmp_path / "spec.yaml"), "--manifest", str(tmp_path / "list.csv")]
    told, said = [], []
    for option in ("--deterministic", "--no-deterministic"):
        main(["train", *inputs, *files, option])
        made = json.loads((tmp_path / "made.json").read_text())
        said.append([devices["deterministic"] for devices in made["devices"]])
    assert said == [[True], [True, False]]  # the second went on from the checkpoint of the first
    assert [(options["deterministic"], options["one_size"]) for options in told] == [(True, True), (False, True)]


# --- batch-norm statistics -----------------------------------------------------------------------------------------


def test_statistics_are_the_mean_over_the_passes():
    model = small_model()
    rng = np.random.default_rng(0)
    batches = [tf.constant(rng.uniform(0, 255, (3, 9, 9, 3)), tf.float32) for _ in range(4)]
    features = keras.Model(model.input, model.get_layer("conv").output)
    seen = [features(b).numpy().reshape(-1, 8) for b in batches]
    before = [w.copy() for w in model.get_layer("bn").get_weights()[:2]]
    reestimate_batch_norm(model, batches)
    norm = model.get_layer("bn")
    np.testing.assert_allclose(norm.moving_mean, np.mean([s.mean(0) for s in seen], axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.mean([s.var(0) for s in seen], axis=0), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(norm.get_weights()[0], before[0])
    assert norm.momentum == 0.99


def test_without_passes_the_statistics_stay():
    model = small_model()
    before = [w.copy() for w in model.get_weights()]
    reestimate_batch_norm(model, [])
    for a, b in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
