"""Batch-norm statistics estimated again after training, as DeconvNet's release does."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf


def reestimate_batch_norm(model: keras.Model, batches: Iterable[tf.Tensor]) -> None:
    """Set a trained network's moving means and variances to their averages over forward passes with fixed weights.

    The moving averages of a training lag behind its last weights and see micro-batches of 8; the release passes 501
    batches of 28 training examples through the trained network instead (``BN_make_INFERENCE_script``). A batch is
    float32 (n, H, W, 3), RGB 0..255.
    """
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable]
    variables = [variable for norm in norms for variable in (norm.moving_mean, norm.moving_variance)]
    decays = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # a pass then leaves the batch's own statistics in the moving ones
    try:
        forward = tf.function(lambda pictures: model(pictures, training=True), reduce_retracing=True)
        sums, passes = None, 0
        for pictures in batches:
            forward(pictures)
            seen = [variable.numpy().astype(np.float64) for variable in variables]
            sums = seen if sums is None else [a + b for a, b in zip(sums, seen, strict=True)]
            passes += 1
    finally:
        for norm, decay in zip(norms, decays, strict=True):
            norm.momentum = decay
    if passes:
        for variable, total in zip(variables, sums, strict=True):
            variable.assign((total / passes).astype(np.float32))
