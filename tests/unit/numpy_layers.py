"""Layers of the DeepLab family in numpy and scipy, one picture (height, width, channels) at a time."""

import numpy as np
from scipy.ndimage import correlate


def randomise(model, seed=0):
    """Random values for every weight, such that signals neither explode nor die on their way."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        shape = tuple(weight.shape)
        if weight.name == "kernel":
            fan_in = shape[0] * shape[1] * (1 if "depthwise" in weight.path else shape[2])
            value = generator.normal(0, np.sqrt(1.0 / fan_in), shape)
        elif weight.name in ("gamma", "moving_variance"):
            value = generator.uniform(0.5, 1.5, shape)
        else:
            value = generator.normal(0, 0.3, shape)
        weight.assign(value.astype(np.float32))
    return model


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (1, height, width, 3)).astype(np.float32)


def relu(x):
    return np.maximum(x, 0)


def batch_norm(x, values, epsilon):
    gamma, beta, mean, variance = values
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def spread(kernel, rate):
    """A kernel with rate - 1 zeros between its taps."""
    side = (kernel.shape[0] - 1) * rate + 1
    dilated = np.zeros((side, side, *kernel.shape[2:]))
    dilated[::rate, ::rate] = kernel
    return dilated


def convolution(x, kernel, *, stride=1, rate=1):
    """Centred on pixels 0, stride, 2 * stride, ... zeros around."""
    kernel = spread(kernel, rate)
    planes = [
        sum(correlate(x[..., i], kernel[..., i, o], mode="constant") for i in range(kernel.shape[2]))
        for o in range(kernel.shape[3])
    ]
    return np.stack(planes, axis=-1)[::stride, ::stride]


def depthwise(x, kernel, *, stride=1, rate=1):
    kernel = spread(kernel, rate)
    planes = [correlate(x[..., i], kernel[..., i, 0], mode="constant") for i in range(kernel.shape[2])]
    return np.stack(planes, axis=-1)[::stride, ::stride]


def resize_aligned(x, size):
    """Bilinear, corners on corners."""
    for axis, target in enumerate(size):
        source = x.shape[axis]
        position = np.linspace(0, source - 1, target) if target > 1 else np.zeros(1)
        lower = np.floor(position).astype(int)
        upper = np.minimum(lower + 1, source - 1)
        share = (position - lower).reshape([-1 if a == axis else 1 for a in range(3)])
        x = (1 - share) * x.take(lower, axis) + share * x.take(upper, axis)
    return x
