"""The training loop and its parts, on networks that train in a second."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import built, spec_of
from segrepro.errors import UserError
from segrepro.models.model_files import load_model, save_model, transfer_weights
from segrepro.stores.manifests import Example
from segrepro.training import checkpoints
from segrepro.training.losses import summed_cross_entropy, valid_pixels
from segrepro.training.optimiser import CoupledSGD
from segrepro.training.schedules import PolySchedule, build_schedule
from segrepro.training.sums import RunningSums
from segrepro.training.trainer import TrainingStopped
from training_setup import PROTOCOL, batches_of, small_model, trainer_of, write_examples


@pytest.fixture
def examples(tmp_path) -> list[Example]:
    return write_examples(tmp_path)


# --- schedules and optimiser ---------------------------------------------------------------------------------------


def test_poly_follows_the_formula_and_stops_at_its_end():
    schedule = PolySchedule(start=7e-3, end=1e-6, power=0.9, steps=30_000)
    for step in (0, 1, 15_000, 29_999, 30_000, 40_000):
        expected = (7e-3 - 1e-6) * (1 - min(step, 30_000) / 30_000) ** 0.9 + 1e-6
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)


def test_poly_equals_keras_polynomial_decay():
    ours = PolySchedule(start=0.1, end=0.01, power=0.9, steps=50)
    theirs = keras.optimizers.schedules.PolynomialDecay(0.1, 50, 0.01, power=0.9)
    np.testing.assert_allclose([ours(s) for s in range(60)], [theirs(s) for s in range(60)], rtol=1e-6)


STEPPING = PROTOCOL | {"schedule": "step", "step_every": 10}


def test_step_is_caffes_to_the_bit():
    """The released solvers' ``rate * gamma ** (iter // stepsize)``, around each of their reductions."""
    for start, every, steps in ((0.01, 10_000, 40_000), (0.001, 20_000, 60_000), (0.05, 7, 200)):
        schedule = build_schedule(STEPPING | {"learning_rate": start, "step_every": every})
        for step in (k * every + off for k in range(steps // every + 1) for off in (-1, 0, 1) if k * every + off >= 0):
            expected = start * keras.ops.power(0.1, keras.ops.cast(step // every, "float32"))
            assert float(schedule(tf.constant(step, tf.int64))) == float(expected), step


def test_step_reduces_at_multiples():
    schedule = build_schedule(STEPPING | {"learning_rate": 0.01, "step_every": 10})
    np.testing.assert_allclose([schedule(s) for s in (0, 9, 10, 25)], [0.01, 0.01, 0.001, 0.0001], rtol=1e-6)


@pytest.mark.parametrize("form", ["tf1", "caffe"])
def test_momentum_and_coupled_decay_follow_the_equations(form):
    rates = [0.1, 0.1, 0.01, 0.01]
    weight = keras.Variable([1.0, -2.0], name="kernel")
    optimiser = CoupledSGD(
        build_schedule(STEPPING | {"learning_rate": 0.1, "step_every": 2}),
        momentum=0.9,
        momentum_form=form,
        coupled_decay=0.5,
        decay_on="kernels",
        bias_rate_factor=1.0,
    )
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for rate in rates:
        gradient = np.array([0.3, 0.1])
        optimiser.apply([tf.constant(gradient, tf.float32)], [weight])
        g = gradient + 0.5 * w
        v = 0.9 * v + (g if form == "tf1" else rate * g)
        w = w - (rate * v if form == "tf1" else v)
    np.testing.assert_allclose(weight.numpy(), w, rtol=1e-5)


def test_coupled_decay_equals_a_regulariser_in_the_loss():
    ours, theirs = small_model(1), small_model(1)
    decay, rate = 0.01, 0.1
    x, y = np.random.default_rng(0).random((4, 8, 8, 3)) * 255, np.zeros((4, 4, 4), np.int32)
    first = CoupledSGD(
        rate, momentum=0.9, momentum_form="tf1", coupled_decay=decay, decay_on="all", bias_rate_factor=1.0
    )
    second = keras.optimizers.SGD(rate, momentum=0.9)
    for _ in range(3):
        for model, optimiser, penalty in ((ours, first, 0.0), (theirs, second, decay)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, model(x, training=True)))
                loss += penalty * sum(tf.nn.l2_loss(v.value) for v in model.trainable_variables)
            optimiser.apply(
                tape.gradient(loss, [v.value for v in model.trainable_variables]), model.trainable_variables
            )
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_biases_learn_faster_and_only_kernels_decay_when_asked():
    model = small_model()
    model.get_layer("conv").bias.assign(np.ones(8))
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimiser = CoupledSGD(
        0.1, momentum=0.0, momentum_form="caffe", coupled_decay=0.5, decay_on="kernels", bias_rate_factor=2.0
    )
    optimiser.apply([tf.ones(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for v in model.trainable_variables:
        kind = v.path.rsplit("/", 1)[-1]
        gradient = 1.0 + (0.5 * before[v.path] if kind == "kernel" else 0.0)
        rate = 0.2 if kind == "bias" else 0.1
        np.testing.assert_allclose(v.numpy(), before[v.path] - rate * gradient, rtol=1e-5, err_msg=v.path)


# --- loss ----------------------------------------------------------------------------------------------------------


def test_the_loss_equals_keras_with_ignored_class():
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(2, 5, 5, 4)), tf.float32)
    labels = rng.integers(0, 4, (2, 5, 5)).astype(np.uint8)
    labels[:, 0] = 255
    total, correct = summed_cross_entropy(logits, tf.constant(labels), loss_at="label", resize="half_pixel")
    mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)(labels, logits)
    valid = valid_pixels(tf.constant(labels))
    assert float(valid) == (labels != 255).sum()
    assert float(total / valid) == pytest.approx(float(mean), rel=1e-5)
    assert float(correct) == ((logits.numpy().argmax(-1) == labels) & (labels != 255)).sum()


def test_void_pixels_have_no_gradient():
    logits = tf.Variable(tf.random.stateless_normal((1, 4, 4, 3), (1, 2)))
    labels = tf.constant([[[255] * 4, [0] * 4, [1] * 4, [255] * 4]], tf.uint8)
    with tf.GradientTape() as tape:
        total, _ = summed_cross_entropy(logits, labels, loss_at="label", resize="half_pixel")
    gradient = tape.gradient(total, logits).numpy()[0]
    assert np.all(gradient[[0, 3]] == 0)
    assert np.all(np.abs(gradient[[1, 2]]).sum(-1) > 0)


def test_a_crop_of_void_alone_gives_a_finite_loss():
    labels = tf.fill((1, 4, 4), tf.constant(255, tf.uint8))
    total, _ = summed_cross_entropy(tf.zeros((1, 4, 4, 3)), labels, loss_at="label", resize="half_pixel")
    assert float(total) == 0.0


# --- input ---------------------------------------------------------------------------------------------------------


# --- trainer -------------------------------------------------------------------------------------------------------


def test_training_lowers_the_loss_and_writes_its_history(examples, tmp_path):
    protocol = PROTOCOL | {"steps": 40, "log_every": 10, "learning_rate": 0.1}
    trainer = trainer_of(tmp_path / "c", protocol)
    trainer.run(batches_of(examples, trainer, protocol))
    trainer.write_history(tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "step,learning_rate,loss,pixel_accuracy"
    assert [int(line.split(",")[0]) for line in lines[1:]] == [10, 20, 30, 40]
    assert trainer.history[-1][2] < trainer.history[0][2]


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_killed_training_ends_with_the_same_weights_bit_for_bit(examples, tmp_path, killed_after):
    whole = trainer_of(tmp_path / "whole")
    whole.run(batches_of(examples, whole))

    def deadly(batches):
        for i, batch in enumerate(batches):
            if i == killed_after:
                raise _KilledError
            yield batch

    killed = trainer_of(tmp_path / "killed")
    with pytest.raises(_KilledError):
        killed.run(deadly(batches_of(examples, killed)))
    resumed = trainer_of(tmp_path / "killed", model=small_model(seed=99 if killed_after >= 2 else 0))
    assert resumed.step == killed_after // 2 * 2
    resumed.run(batches_of(examples, resumed))
    for a, b in zip(whole.state, resumed.state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert whole.history == resumed.history


@pytest.mark.parametrize("every", [1, 4, 5])
def test_when_checkpoints_are_written_changes_nothing(examples, tmp_path, every):
    """Rows of the history come every three steps, so that all of these are written between two rows."""
    protocol = PROTOCOL | {"log_every": 3}
    whole = trainer_of(tmp_path / "whole", protocol, checkpoint_every=None)
    whole.run(batches_of(examples, whole, protocol))
    first = trainer_of(tmp_path / "first", protocol, checkpoint_every=every)
    first.run(batches_of(examples, first, protocol).take(5))
    second = trainer_of(tmp_path / "first", protocol, model=small_model(seed=9))
    assert second.step == 5 // every * every
    second.run(batches_of(examples, second, protocol))
    assert second.history == whole.history
    for a, b in zip(whole.state, second.state, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


class _Clock:
    """Two minutes pass from one look to the next."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 120.0
        return self.now


def test_checkpoints_are_written_by_time(examples, tmp_path, monkeypatch):
    protocol = PROTOCOL | {"steps": 12}
    trainer = trainer_of(tmp_path, protocol, checkpoint_every=None, checkpoint_minutes=6.0)
    saved = []
    monkeypatch.setattr(trainer, "_save", lambda save=trainer._save: (save(), saved.append(trainer.step)))
    monkeypatch.setattr("segrepro.training.trainer.time", _Clock())
    trainer.run(batches_of(examples, trainer, protocol))
    assert saved == [3, 6, 9, 12]


def test_sums_are_read_where_a_row_or_a_checkpoint_needs_them(examples, tmp_path, monkeypatch):
    protocol = PROTOCOL | {"steps": 12, "log_every": 6}
    trainer = trainer_of(tmp_path, protocol, checkpoint_every=8)
    waits, read = set(), RunningSums.read

    def noted(sums):
        waits.update({trainer.step} if sums._unread else ())
        return read(sums)

    monkeypatch.setattr(RunningSums, "read", noted)
    trainer.run(batches_of(examples, trainer, protocol))
    assert waits == {3, 6, 8, 12}  # after 3, the warm-up, the speed is taken


def test_sums_are_those_of_float64_in_their_order_whenever_they_are_read():
    rows = np.random.default_rng(0).uniform(0, 1e6, (9, 3)).astype(np.float32)
    expected = np.zeros(4)
    for row in rows:
        expected += [*row.astype(np.float64), 1.0]
    for every in (1, 4, 10):
        sums = RunningSums()
        for step, row in enumerate(rows, start=1):
            sums.add(step, tf.constant(row))
            if step % every == 0:
                sums = RunningSums(sums.read())  # as a training that goes on from a checkpoint
        np.testing.assert_array_equal(sums.take(), expected)
        np.testing.assert_array_equal(sums.read(), np.zeros(4))


def test_many_micro_batches_between_two_rows_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("segrepro.training.sums.MOST_UNREAD", 4)
    sums = RunningSums()
    for step in range(1, 11):
        sums.add(step, tf.constant([1.0, 2.0, 3.0]))
        assert len(sums._unread) < 4
    assert sums.read().tolist() == [10.0, 20.0, 30.0, 10.0]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(examples, tmp_path, capsys):
    trainer = trainer_of(tmp_path)
    trainer.run(batches_of(examples, trainer))
    newest = max(tmp_path.glob("step_*.npz"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)
    assert trainer_of(tmp_path).step == 4
    assert "damaged" in capsys.readouterr().err
    newest.write_bytes(b"")
    assert trainer_of(tmp_path).step == 4


def test_tensorboard_reads_the_rows_of_the_history(examples, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = trainer_of(tmp_path / "c", tensorboard=tmp_path / "events")
    trainer.run(batches_of(examples, trainer))
    events = EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    assert events.Tags()["tensors"] == ["learning_rate", "loss", "pixel_accuracy"]
    assert len(trainer.history) == 3
    for column, tag in enumerate(("learning_rate", "loss", "pixel_accuracy"), start=1):
        read = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]
        assert read == [(row[0], np.float32(row[column])) for row in trainer.history]


def test_only_two_checkpoints_are_kept(examples, tmp_path):
    trainer = trainer_of(tmp_path / "c", checkpoint_every=1)
    trainer.run(batches_of(examples, trainer))
    assert [p.name for p in sorted((tmp_path / "c").iterdir())] == ["step_000000005.npz", "step_000000006.npz"]


def test_a_checkpoint_of_other_shapes_is_not_used(tmp_path):
    checkpoints.save(tmp_path, checkpoints.Checkpoint(3, [np.zeros(2)], np.zeros((0, 4)), np.zeros(4), np.zeros(0)))
    assert checkpoints.load_newest(tmp_path, [(3,)]) is None
    assert checkpoints.load_newest(tmp_path, [(2,)]).step == 3


def test_a_signal_saves_a_checkpoint_and_stops(examples, tmp_path):
    trainer = trainer_of(tmp_path, checkpoint_every=100)

    def signalled(batches):
        for i, batch in enumerate(batches):
            if i == 2:
                trainer._ask_stop(15, None)
            yield batch

    with pytest.raises(TrainingStopped):
        trainer.run(signalled(batches_of(examples, trainer)))
    assert trainer_of(tmp_path).step == 3


def test_a_loss_that_is_not_finite_stops_with_a_sentence_and_no_checkpoint(examples, tmp_path):
    protocol = PROTOCOL | {"learning_rate": 1e30}
    trainer = trainer_of(tmp_path, protocol, model=small_model(batch_norm=False), checkpoint_every=1)
    with pytest.raises(UserError, match="not finite at step"):
        trainer.run(batches_of(examples, trainer, protocol))
    for path in tmp_path.glob("*.npz"):
        with np.load(path) as file:
            assert np.isfinite(file["running"][0])


def test_a_loss_that_is_not_finite_is_said_with_its_step_whenever_it_is_read(examples, tmp_path):
    sentences = set()
    for every in (1, 5, 40):
        protocol = PROTOCOL | {"learning_rate": 1e12, "steps": 40, "log_every": every}
        trainer = trainer_of(
            tmp_path / str(every), protocol, model=small_model(batch_norm=False), checkpoint_every=None
        )
        with pytest.raises(UserError) as error:
            trainer.run(batches_of(examples, trainer, protocol))
        sentences.add(str(error.value))
    assert len(sentences) == 1
    assert 1 < int(sentences.pop().split("at step ")[1].split()[0]) < 40


def test_accumulation_averages_micro_batches(examples, tmp_path):
    """Two micro-batches of one example give the mean of their gradients, as Caffe's iter_size does."""
    protocol = PROTOCOL | {"micro_batch": 1, "accumulation": 2, "steps": 1, "momentum": 0.0, "weight_decay": 0.0}
    model = small_model(batch_norm=False)
    before = [v.numpy() for v in model.trainable_variables]
    trainer = trainer_of(tmp_path, protocol, model=model)
    (pictures, labels), *_ = batches_of(examples, trainer, protocol)
    reference = small_model(batch_norm=False)
    gradients = []
    for k in range(2):
        with tf.GradientTape() as tape:
            total, _ = summed_cross_entropy(
                reference(pictures[k], training=True), labels[k], loss_at="label", resize="half_pixel"
            )
            loss = total / valid_pixels(labels[k])
        gradients.append(tape.gradient(loss, [v.value for v in reference.trainable_variables]))
    trainer.run([(pictures, labels)])
    for old, new, a, b in zip(before, model.trainable_variables, *gradients, strict=True):
        np.testing.assert_allclose(new.numpy(), old - 0.05 * (a + b) / 2, rtol=1e-4, atol=1e-6)


def test_batch_norm_sees_one_micro_batch_after_the_other(examples, tmp_path):
    """The moving statistics of a step are those of forward passes over its micro-batches, in order, one by one."""
    protocol = PROTOCOL | {"micro_batch": 2, "accumulation": 3, "steps": 1}
    trainer = trainer_of(tmp_path, protocol)
    (pictures, labels), *_ = batches_of(examples, trainer, protocol)
    start = trainer.model.get_weights()
    reference = small_model()
    reference.set_weights(start)  # the weights change after the last micro-batch only
    for k in range(3):
        reference(pictures[k], training=True)
    trainer.run([(pictures, labels)])
    for moving in ("moving_mean", "moving_variance"):
        ours, theirs = (getattr(model.get_layer("bn"), moving).numpy() for model in (trainer.model, reference))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
        together = small_model()
        together.set_weights(start)
        together(tf.concat(list(pictures), 0), training=True)
        assert np.abs(getattr(together.get_layer("bn"), moving).numpy() - theirs).max() > 1e-4


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_on_float32_weights(examples, tmp_path, precision):
    keras.mixed_precision.set_global_policy(precision)
    try:
        protocol = PROTOCOL | {"precision": precision}
        trainer = trainer_of(tmp_path, protocol)
        trainer.run(batches_of(examples, trainer, protocol))
        assert trainer.model.get_layer("conv").kernel.dtype == "float32"
        assert trainer.model.get_layer("conv").compute_dtype == precision.removeprefix("mixed_")
        assert all(np.isfinite(row[2]) for row in trainer.history)
    finally:
        keras.mixed_precision.set_global_policy("float32")


# --- model files ---------------------------------------------------------------------------------------------------


def test_the_same_weights_give_the_same_file(tmp_path):
    for name in ("a", "b"):
        save_model(small_model(), tmp_path / f"{name}.keras", spec_of({}))
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    x = np.random.default_rng(0).random((1, 9, 9, 3))
    np.testing.assert_array_equal(load_model(tmp_path / "a.keras")(x), small_model()(x))


def test_a_file_with_shared_objects_is_the_same_in_every_process(tmp_path):
    """Keras names the objects that layers share by their memory addresses."""
    import subprocess
    import sys

    script = (
        f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); from pathlib import Path\n"
        "from networks import built, spec_of\n"
        "from segrepro.models.model_files import save_model\n"
        "junk = [object() for _ in range(int(sys.argv[1]))]\n"
        "model = built({'backbone': 'resnet_v2_tiny', 'multi_grid': [1, 1, 1]}, 3)\n"
        "save_model(model, Path(sys.argv[2]), spec_of({}))"
    )
    for count in ("1", "100000"):
        subprocess.run([sys.executable, "-c", script, count, str(tmp_path / f"{count}.keras")], check=True)
    assert (tmp_path / "1.keras").read_bytes() == (tmp_path / "100000.keras").read_bytes()
    assert load_model(tmp_path / "1.keras").output_shape[-1] == 3


def test_a_broken_model_file_is_named(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"PK\x03\x04 broken")
    for name in ("m.keras", "missing.keras"):
        with pytest.raises(UserError, match=name):
            load_model(tmp_path / name)


def test_weights_move_by_name_and_a_new_head_stays_new():
    source, target = small_model(1), small_model(2)
    head = target.get_layer("logits").kernel.numpy()
    assert transfer_weights(source, target, head="replace") == ["logits"]
    np.testing.assert_array_equal(target.get_layer("conv").kernel, source.get_layer("conv").kernel)
    np.testing.assert_array_equal(target.get_layer("logits").kernel, head)
    assert transfer_weights(source, target, head="keep") == []
    np.testing.assert_array_equal(target.get_layer("logits").kernel, source.get_layer("logits").kernel)


def test_a_network_with_dropout_starts_from_one_without():
    plain, dropping = (
        built({"backbone": "resnet_v2_tiny", "multi_grid": [1, 1, 1], "dropout": rate}, 3, seed=seed)
        for seed, rate in ((1, 0.0), (2, 0.1))
    )
    transfer_weights(plain, dropping, head="keep")
    for a, b in zip(plain.get_weights(), dropping.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_another_network_are_refused():
    with pytest.raises(UserError, match="'bn' is not in model"):
        transfer_weights(small_model(batch_norm=False), small_model(), head="keep")
