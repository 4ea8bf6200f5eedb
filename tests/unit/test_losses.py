"""The loss keeps no map at label size, and is TensorFlow's own all the same."""

import numpy as np
import pytest
import tensorflow as tf

from segrepro.labels import VOID
from segrepro.models.layers import resize_bilinear
from segrepro.training import losses
from segrepro.training.losses import summed_cross_entropy, valid_pixels

CLASSES = 7
CASES = [("label", "legacy"), ("label", "half_pixel"), ("label", "align_corners"), ("stride", "half_pixel")]


@pytest.fixture
def one_by_one(monkeypatch):
    monkeypatch.setattr(losses, "WHOLE_BATCH_BYTES", 0)


@pytest.fixture
def deterministic():
    tf.config.experimental.enable_op_determinism()
    yield
    from tensorflow.python.framework.config import disable_op_determinism

    disable_op_determinism()


def batch(loss_at: str, examples: int = 3) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits of (5, 6) features and labels of their size, or of (33, 41) pixels, a strip of which is void."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, (examples, *((33, 41) if loss_at == "label" else (5, 6)))).astype(np.uint8)
    labels[:, 1:3, :-1] = VOID
    return tf.constant(random.normal(size=(examples, 5, 6, CLASSES)), tf.float32), tf.constant(labels)


def tensorflows(logits: tf.Tensor, labels: tf.Tensor, *, loss_at: str, resize: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The same by TensorFlow's own operation, which keeps its maps."""
    if loss_at == "label":
        logits = resize_bilinear(logits, labels.shape[1:3], resize)
    valid = labels != VOID
    targets = tf.where(valid, tf.cast(labels, tf.int32), 0)
    every = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    right = tf.argmax(logits, axis=-1, output_type=tf.int32) == targets
    return tf.reduce_sum(tf.where(valid, every, 0.0)), tf.reduce_sum(tf.cast(valid & right, tf.float32))


def compiled(loss, **options):
    """Return a compiled function of (logits, labels): mean loss, correct pixels, the loss's gradient by the logits."""

    @tf.function
    def value_and_gradient(logits, labels):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total, correct = loss(logits, labels, **options)
            mean = total / valid_pixels(labels)
        return mean, correct, tape.gradient(mean, logits)

    return value_and_gradient


def both(loss_at: str, resize: str) -> list:
    """Return what our loss gives, and what TensorFlow's does."""
    ways = (compiled(loss, loss_at=loss_at, resize=resize) for loss in (summed_cross_entropy, tensorflows))
    return [[tensor.numpy() for tensor in way(*batch(loss_at))] for way in ways]


@pytest.mark.parametrize(("loss_at", "resize"), CASES)
def test_a_batch_at_once_has_the_bits_of_tensorflows_deterministic_loss(loss_at, resize, deterministic):
    ours, theirs = both(loss_at, resize)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("loss_at", "resize"), CASES)
def test_example_by_example_it_has_the_same_gradient(loss_at, resize, one_by_one):
    ours, theirs = both(loss_at, resize)
    assert ours[1] == theirs[1]
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=0, atol=1e-6 * np.abs(theirs[2]).max())


def largest_tensor(loss, examples: int) -> int:
    """Return the elements of the largest tensor that a compiled step holds beside the loops over examples."""
    logits, labels = batch("label", examples)
    graph = compiled(loss, loss_at="label", resize="half_pixel").get_concrete_function(logits, labels).graph
    return max(tensor.shape.num_elements() or 0 for op in graph.get_operations() for tensor in op.outputs)


def test_no_map_of_all_examples_is_made(one_by_one):
    logits, labels = batch("label", 8)
    assert largest_tensor(tensorflows, 8) == labels.shape.num_elements() * CLASSES
    assert largest_tensor(summed_cross_entropy, 8) == max(labels.shape.num_elements(), logits.shape.num_elements())
