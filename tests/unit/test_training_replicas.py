"""Training on two devices, in a process of its own: logical devices must be set up before TensorFlow starts."""

import subprocess
import sys
import textwrap

SCRIPT = textwrap.dedent(
    """
    import sys
    import numpy as np, tensorflow as tf
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
    )
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from training_setup import PROTOCOL, small_model, trainer_of

    protocol = PROTOCOL | {"micro_batch": 4, "accumulation": 2, "steps": 3}
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (3, 2, 4, 17, 17)).astype(np.uint8)
    labels[:, :, 0, :9] = 255  # the replicas see different numbers of valid pixels
    batches = [
        (tf.constant(rng.random((2, 4, 17, 17, 3)) * 255, tf.float32), tf.constant(labels[i])) for i in range(3)
    ]
    results = []
    for name, strategy in (
        ("one", tf.distribute.get_strategy()), ("two", tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
    ):
        with strategy.scope():
            model = small_model(batch_norm=False)
        trainer = trainer_of(Path(sys.argv[2]) / name, protocol, strategy, model)
        assert trainer.strategy.num_replicas_in_sync == {"one": 1, "two": 2}[name]
        trainer.run(batches)
        results.append((model.get_weights(), trainer.history))
    for a, b in zip(results[0][0], results[1][0]):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4)
    with strategy.scope():
        model = small_model()  # with batch norm: trains, saves and resumes on two devices
    trainer = trainer_of(Path(sys.argv[2]) / "norm", protocol, strategy, model)
    trainer.run(batches)
    with strategy.scope():
        again = small_model(5)
    assert trainer_of(Path(sys.argv[2]) / "norm", protocol, strategy, again).step == 3
    for a, b in zip(model.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a, b)
    from segrepro.training.batch_norm import reestimate_batch_norm

    pictures = [batch[0][0] for batch in batches]
    with strategy.scope():
        mirrored = small_model()
    plain = small_model()
    plain.set_weights(mirrored.get_weights())
    assert [reestimate_batch_norm(m, pictures) for m in (mirrored, plain)] == [3, 3]
    for a, b in zip(mirrored.get_weights(), plain.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    for moving in ("moving_mean", "moving_variance"):
        copies = strategy.experimental_local_results(getattr(mirrored.get_layer("bn"), moving).value)
        assert len(copies) == 2
        np.testing.assert_array_equal(copies[0], copies[1])  # whichever is saved
    assert np.abs(plain.get_layer("bn").moving_mean).max() > 0
    print("equal")
    """
)


def test_two_devices_train_to_the_weights_of_one(tmp_path):
    from pathlib import Path

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[1]), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("equal")
