"""Training on several devices, in processes of their own: logical devices must be set up before TensorFlow starts."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from networks import built, micro_backbones
from replicas_run import TWINS
from segrepro.models.replicas import check_shareable

TESTS = Path(__file__).parents[1]

TWO_DEVICES = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    import keras
    import numpy as np
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    tf.config.experimental.enable_op_determinism()
    from replicas_run import copies
    from segrepro.models.replicas import BatchNormalization, Dropout
    from segrepro.training.batch_norm import reestimate_batch_norm
    from segrepro.training.devices import mirrored
    from training_setup import PROTOCOL, trainer_of

    FOLDER = Path(sys.argv[1])
    ONE, TWO = tf.distribute.get_strategy(), mirrored(["CPU:0", "CPU:1"])

    def network(strategy, norm=BatchNormalization):
        with strategy.scope():
            inputs = keras.Input((None, None, 3))
            x = keras.layers.Conv2D(8, 3, strides=2, padding="same", kernel_initializer=uniform(1))(inputs)
            x = keras.layers.ReLU()(norm(name="bn", momentum=0.8)(x))
            x = Dropout(0.5, seed=3, name="dropout")(x)
            return keras.Model(inputs, keras.layers.Conv2D(3, 1, kernel_initializer=uniform(2), dtype="float32")(x))

    def uniform(seed):
        return keras.initializers.RandomUniform(seed=seed)

    def examples(steps, accumulation):
        rng = np.random.default_rng(0)
        pictures = rng.random((steps, accumulation, 4, 17, 17, 3)).astype(np.float32)
        labels = rng.integers(0, 3, pictures.shape[:-1]).astype(np.uint8)
        labels[:, :, 0, :9] = 255  # the replicas see different numbers of valid pixels
        return [(tf.constant(x), tf.constant(y)) for x, y in zip(pictures, labels)]

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    """
)

WHOLE_TRAINING = textwrap.dedent(
    """
    batches = examples(6, 2)
    plateau = {"schedule": "plateau", "plateau_every": 1, "plateau_patience": 1, "validation_pictures": 1}
    protocol = PROTOCOL | {"micro_batch": 4, "accumulation": 2, "steps": 6} | plateau
    held_out = tf.data.Dataset.from_tensors((batches[0][0][0], batches[0][1][0]))

    def train(name, strategy, batches):
        folder = FOLDER / name
        recomputed = {"remat": strategy is TWO}  # also where two recompute what one keeps
        options = {"checkpoint_every": 2, "validation": held_out}
        trainer = trainer_of(folder, protocol | recomputed, strategy, network(strategy), **options)
        trainer.run(batches[trainer.step :])
        return trainer

    one, two = train("one", ONE, batches), train("two", TWO, batches)
    assert np.abs(one.model.get_layer("bn").moving_mean).max() > 0.01
    for a, b in zip(one.state, two.state, strict=True):
        close(a.numpy(), b.numpy())
        first, second = copies(TWO, b)
        np.testing.assert_array_equal(first, second, err_msg=b.path)  # whichever is saved
    close(one.history, two.history)
    close(one.plateau.state, two.plateau.state)
    assert one.plateau.state[2] > 0  # reduced

    stopped = train("stopped", TWO, batches[:4])
    again = train("stopped", TWO, batches)
    assert (stopped.step, again.step) == (4, 6)
    for a, b in zip(two.state, again.state, strict=True):
        np.testing.assert_array_equal(copies(TWO, a), copies(TWO, b), err_msg=a.path)

    pictures = [x[0] for x, _ in batches]
    for trainer in (one, two):
        reestimate_batch_norm(trainer.model, pictures)
    for name in ("moving_mean", "moving_variance"):
        a, b = (getattr(t.model.get_layer("bn"), name) for t in (one, two))
        close(a.numpy(), b.numpy())
        np.testing.assert_array_equal(*copies(TWO, b))

    # E[x^2] - E[x]^2 would be rounding error here: 90000 has steps of 0.008, the variance is 0.0001
    far = (300 + 0.01 * np.random.default_rng(1).standard_normal((4, 3, 3, 2))).astype(np.float32)
    with TWO.scope():
        norm = BatchNormalization(epsilon=1e-9, momentum=0.0)
        norm.build(far.shape)
    shares = TWO.experimental_distribute_values_from_function(lambda c: far[2 * c.replica_id_in_sync_group :][:2])
    TWO.run(tf.function(lambda x: norm(x, training=True)), args=(shares,))
    np.testing.assert_allclose(norm.moving_variance.numpy(), far.var(axis=(0, 1, 2), dtype=np.float64), rtol=1e-2)

    try:
        trainer_of(FOLDER / "keras", protocol, TWO, network(TWO, keras.layers.BatchNormalization), validation=held_out)
    except TypeError as error:
        assert "'bn' sees a replica's share only" in str(error)
    else:
        raise AssertionError("Keras' own batch norm was taken")
    print("equal")
    """
)

OVERFLOW = textwrap.dedent(
    """
    from segrepro.models.replicas import with_overflow_of_others

    optimiser_of = lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=4.0)
    with TWO.scope():
        weight = keras.Variable(np.ones(2, np.float32), name="weight")
        optimiser = optimiser_of()
        optimiser.build([weight])

    @tf.function
    def step(gradients):
        TWO.run(lambda g: optimiser.apply(with_overflow_of_others([g]), [weight]), args=(gradients,))

    def on_each(first, second):
        return TWO.experimental_distribute_values_from_function(
            lambda c: tf.constant([first, second][c.replica_id_in_sync_group], tf.float32)
        )

    step(on_each([1.0, 0.0], [1.0, 4.0]))  # summed, and divided by the scale
    np.testing.assert_array_equal(copies(TWO, weight), [[0.5, 0.0]] * 2)
    step(on_each([1.0, 1.0], [float("inf"), 1.0]))
    np.testing.assert_array_equal(copies(TWO, weight), [[0.5, 0.0]] * 2)
    np.testing.assert_array_equal(copies(TWO, optimiser.dynamic_scale), [2.0] * 2)
    print("equal")
    """
)


def run(script: list[str], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *script, str(folder)], capture_output=True, text=True, check=False, cwd=TESTS
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.parametrize("part", [WHOLE_TRAINING, OVERFLOW], ids=["whole training", "overflow"])
def test_two_devices_train_as_one(tmp_path, part):
    """Sums, plateau, batch-norm statistics and masks are of the whole micro-batch; a resumed training is exact."""
    assert run(["-c", TWO_DEVICES + part], tmp_path).endswith("equal")


@pytest.mark.parametrize("name", TWINS)
def test_no_layer_of_a_network_sees_its_share_only(name):
    with micro_backbones():
        check_shareable(built(TWINS[name].network, 3))


@pytest.mark.devices
@pytest.mark.parametrize("devices", [2, 4, 8])
def test_networks_get_the_weights_of_one_device(tmp_path, devices):
    """On 8 devices a share is one crop, of which DeepLab's image pooling and DeconvNet's fc6 have one value."""
    run(["replicas_run.py", str(devices)], tmp_path)
    for name in TWINS:
        one, several = (np.load(tmp_path / f"{name}_{number}.npz") for number in ("one", "several"))
        np.testing.assert_allclose(several["history"], one["history"], rtol=1e-4, err_msg=name)
        variables = [key.removeprefix("before/") for key in one.files if key.startswith("before/")]
        moved = [np.abs(one[f"after/{v}"] - one[f"before/{v}"]).max() for v in variables if v.endswith("kernel")]
        assert max(moved) > 1e-3, name  # a hundred times what may differ
        for key in [key for key in one.files if key.startswith("after/")]:
            assert len(several[key]) == devices
            assert all(np.array_equal(several[key][0], copy) for copy in several[key]), f"{name}: {key} has drifted"
            np.testing.assert_allclose(several[key][0], one[key][0], rtol=1e-5, atol=1e-5, err_msg=f"{name}: {key}")
