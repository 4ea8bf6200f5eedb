"""Three TensorFlow 1 graphs of TF-slim, written down again in numpy: what an imported network must compute.

Nothing here comes from the package. A forward pass asks a `Variables` for each variable by its TF1 name and shape,
as ``tf.get_variable`` did, so that the same lines say which variables a checkpoint holds and what is done with them.
Everything is float64 and without a batch: maps are (height, width, channels).
"""

import hashlib

import numpy as np

RESNET_MEAN_RGB = (123.68, 116.779, 103.939)
BLOCKS_RESNET_101 = ((64, 3), (128, 4), (256, 23), (512, 3))  # bottleneck channels, units


class Variables:
    """Variables by TF1 name, made at random when first asked for.

    Args:
        gain: variance that a kernel gives to the sum over signals of variance 1; such that a network's signals
            neither explode nor die.
        seed: of the values; each depends on it and on the variable's name alone.
    """

    def __init__(self, gain: float = 1.0, seed: int = 0):
        self.values: dict[str, np.ndarray] = {}
        self._gain = gain
        self._seed = seed

    def __call__(self, name: str, *shape: int) -> np.ndarray:
        if name not in self.values:
            digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
            self.values[name] = self._draw(np.random.default_rng(int.from_bytes(digest[:8], "big")), name, shape)
        assert self.values[name].shape == shape, name
        return self.values[name].astype(np.float64)

    def _draw(self, generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
        kind = name.rsplit("/", 1)[-1]
        if kind.endswith("weights"):
            value = generator.standard_normal(shape, np.float32) * np.sqrt(self._gain / np.prod(shape[:3]))
            if kind == "depthwise_weights":  # a filter of 3 x 3 reads one channel
                value *= np.sqrt(shape[2])
        elif kind in ("gamma", "moving_variance"):
            value = generator.uniform(0.6, 1.3, shape)
        else:
            value = generator.normal(0, 0.2, shape)
        return value.astype(np.float32)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: value.shape for name, value in self.values.items()}


def summary(shapes: dict[str, tuple[int, ...]]) -> tuple[int, int, str]:
    """Number of variables, number of values, and the sha256 of the sorted lines ``name 1,2,3``."""
    lines = sorted(f"{name} {','.join(map(str, shape))}\n" for name, shape in shapes.items())
    sizes = sum(int(np.prod(shape)) for shape in shapes.values())
    return len(lines), sizes, hashlib.sha256("".join(lines).encode()).hexdigest()


# ---- layers


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _taps(x: np.ndarray, side: int, stride: int, rate: int):
    """The map that each element of a kernel sees: zeros on all sides by half the kernel's reach, then VALID."""
    reach = (side - 1) * rate
    padded = np.pad(x, ((reach // 2, reach - reach // 2),) * 2 + ((0, 0),))
    height, width = ((extent - reach - 1) // stride * stride + 1 for extent in padded.shape[:2])
    for i in range(0, reach + 1, rate):
        for j in range(0, reach + 1, rate):
            yield i // rate, j // rate, padded[i : i + height : stride, j : j + width : stride]


def convolve(x: np.ndarray, kernel: np.ndarray, *, stride: int = 1, rate: int = 1) -> np.ndarray:
    return sum(np.tensordot(tap, kernel[i, j], axes=1) for i, j, tap in _taps(x, kernel.shape[0], stride, rate))


def convolve_depthwise(x: np.ndarray, kernel: np.ndarray, *, stride: int = 1, rate: int = 1) -> np.ndarray:
    return sum(tap * kernel[i, j, :, 0] for i, j, tap in _taps(x, kernel.shape[0], stride, rate))


def batch_norm(get: Variables, x: np.ndarray, scope: str, epsilon: float) -> np.ndarray:
    gamma, beta, mean, variance = (
        get(f"{scope}/{name}", x.shape[-1]) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    return (x - mean) / np.sqrt(variance + epsilon) * gamma + beta


def max_pool_same(x: np.ndarray) -> np.ndarray:
    """3 x 3, stride 2, TensorFlow's SAME: one column before only where the extent is odd, one after always."""
    pads = [(extent % 2, 1) for extent in x.shape[:2]]
    padded = np.pad(x, (*pads, (0, 0)), constant_values=-np.inf)
    height, width = ((extent - 3) // 2 * 2 + 1 for extent in padded.shape[:2])
    return np.max([padded[i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)], axis=0)


def resize(x: np.ndarray, size: tuple[int, int], *, align_corners: bool) -> np.ndarray:
    """Bilinear resizing of TensorFlow 1: aligned corners, or its old mapping target * source / target extent."""
    for axis, target in enumerate(size):
        extent = x.shape[axis]
        scale = (extent - 1) / max(target - 1, 1) if align_corners else extent / target
        place = np.minimum(np.arange(target) * scale, extent - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, extent - 1)
        weight = np.expand_dims(place - low, tuple(range(1, x.ndim - axis)))
        x = np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
    return x


# ---- DeepLabv3 on ResNet-v2-101, output stride 16


def _bottleneck(get: Variables, x: np.ndarray, scope: str, width: int, stride: int, rate: int) -> np.ndarray:
    channels = x.shape[-1]
    preactivated = relu(batch_norm(get, x, f"{scope}/preact", 1e-5))
    if channels == 4 * width:
        shortcut = x[::stride, ::stride]
    else:
        shortcut = convolve(preactivated, get(f"{scope}/shortcut/weights", 1, 1, channels, 4 * width), stride=stride)
        shortcut = shortcut + get(f"{scope}/shortcut/biases", 4 * width)
    y = convolve(preactivated, get(f"{scope}/conv1/weights", 1, 1, channels, width))
    y = relu(batch_norm(get, y, f"{scope}/conv1/BatchNorm", 1e-5))
    y = convolve(y, get(f"{scope}/conv2/weights", 3, 3, width, width), stride=stride, rate=rate)
    y = relu(batch_norm(get, y, f"{scope}/conv2/BatchNorm", 1e-5))
    y = convolve(y, get(f"{scope}/conv3/weights", 1, 1, width, 4 * width)) + get(f"{scope}/conv3/biases", 4 * width)
    return shortcut + y


def resnet_v2_101(get: Variables, picture: np.ndarray, scope: str = "resnet_v2_101") -> np.ndarray:
    """Features before the last batch norm, whose variables are asked for but not used."""
    x = picture.astype(np.float64) - RESNET_MEAN_RGB
    x = convolve(x, get(f"{scope}/conv1/weights", 7, 7, 3, 64), stride=2) + get(f"{scope}/conv1/biases", 64)
    x = max_pool_same(x)
    for block, (width, units) in enumerate(BLOCKS_RESNET_101, start=1):
        for unit in range(1, units + 1):
            stride = 2 if block <= 2 and unit == units else 1
            rate = 2 if block == 4 else 1
            x = _bottleneck(get, x, f"{scope}/block{block}/unit_{unit}/bottleneck_v2", width, stride, rate)
    batch_norm(get, x, f"{scope}/postnorm", 1e-5)
    return x


def _convolve_norm_relu(
    get: Variables, x: np.ndarray, scope: str, filters: int, side: int = 1, rate: int = 1
) -> np.ndarray:
    y = convolve(x, get(f"{scope}/weights", side, side, x.shape[-1], filters), rate=rate)
    return relu(batch_norm(get, y, f"{scope}/BatchNorm", 1e-5))


def deeplabv3(get: Variables, picture: np.ndarray, classes: int = 21) -> np.ndarray:
    """Logits of (height, width, 3) RGB at stride 16."""
    x = resnet_v2_101(get, picture)
    branches = [_convolve_norm_relu(get, x, "aspp/conv_1x1", 256)]
    for number, rate in enumerate((6, 12, 18), start=1):
        branches.append(_convolve_norm_relu(get, x, f"aspp/conv_3x3_{number}", 256, 3, rate))
    pooled = x.mean(axis=(0, 1), keepdims=True)
    pooled = _convolve_norm_relu(get, pooled, "aspp/image_level_features/conv_1x1", 256)
    branches.append(resize(pooled, x.shape[:2], align_corners=False))
    x = _convolve_norm_relu(get, np.concatenate(branches, -1), "aspp/conv_1x1_concat", 256)
    logits = convolve(x, get("upsampling_logits/conv_1x1/weights", 1, 1, 256, classes))
    return logits + get("upsampling_logits/conv_1x1/biases", classes)


# ---- DeepLabv3+ on Xception-65, output stride 16


def _separable(
    get: Variables,
    x: np.ndarray,
    scope: str,
    filters: int,
    *,
    stride: int = 1,
    rate: int = 1,
    activate: bool,
    epsilon: float,
) -> np.ndarray:
    after = relu if activate else (lambda y: y)
    channels = x.shape[-1]
    kernel = get(f"{scope}_depthwise/depthwise_weights", 3, 3, channels, 1)
    y = convolve_depthwise(x, kernel, stride=stride, rate=rate)
    y = after(batch_norm(get, y, f"{scope}_depthwise/BatchNorm", epsilon))
    y = convolve(y, get(f"{scope}_pointwise/weights", 1, 1, channels, filters))
    return after(batch_norm(get, y, f"{scope}_pointwise/BatchNorm", epsilon))


def xception_module(
    get: Variables,
    x: np.ndarray,
    scope: str,
    filters: tuple[int, int, int],
    *,
    skip: str,
    stride: int = 1,
    rate: int = 1,
    relu_first: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """One module; returns its output and that of its second separable convolution."""
    scope = f"{scope}/xception_module"
    y, outputs = x, []
    for number, channels in enumerate(filters, start=1):
        options = {"stride": stride if number == 3 else 1, "rate": rate, "activate": not relu_first, "epsilon": 1e-3}
        y = _separable(get, relu(y) if relu_first else y, f"{scope}/separable_conv{number}", channels, **options)
        outputs.append(y)
    if skip == "conv":
        kernel = get(f"{scope}/shortcut/weights", 1, 1, x.shape[-1], filters[-1])
        y = y + batch_norm(get, convolve(x, kernel, stride=stride), f"{scope}/shortcut/BatchNorm", 1e-3)
    elif skip == "sum":
        y = y + x
    return y, outputs[1]


def xception_65(get: Variables, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features at stride 16 and low-level features at stride 4."""
    flow = "xception_65/entry_flow"
    x = picture.astype(np.float64) * 2 / 255 - 1
    for name, filters, stride in (("conv1_1", 32, 2), ("conv1_2", 64, 1)):
        x = convolve(x, get(f"{flow}/{name}/weights", 3, 3, x.shape[-1], filters), stride=stride)
        x = relu(batch_norm(get, x, f"{flow}/{name}/BatchNorm", 1e-3))
    x, _ = xception_module(get, x, f"{flow}/block1/unit_1", (128,) * 3, skip="conv", stride=2)
    x, low_level = xception_module(get, x, f"{flow}/block2/unit_1", (256,) * 3, skip="conv", stride=2)
    x, _ = xception_module(get, x, f"{flow}/block3/unit_1", (728,) * 3, skip="conv", stride=2)
    for unit in range(1, 17):
        x, _ = xception_module(get, x, f"xception_65/middle_flow/block1/unit_{unit}", (728,) * 3, skip="sum")
    flow = "xception_65/exit_flow"
    x, _ = xception_module(get, x, f"{flow}/block1/unit_1", (728, 1024, 1024), skip="conv")
    x, _ = xception_module(get, x, f"{flow}/block2/unit_1", (1536, 1536, 2048), skip="none", rate=2, relu_first=False)
    return x, low_level


def deeplabv3plus(get: Variables, picture: np.ndarray, classes: int = 21) -> np.ndarray:
    """Logits of (height, width, 3) RGB at stride 4."""
    x, low_level = xception_65(get, picture)
    pooled = _convolve_norm_relu(get, x.mean(axis=(0, 1), keepdims=True), "image_pooling", 256)
    branches = [resize(pooled, x.shape[:2], align_corners=True), _convolve_norm_relu(get, x, "aspp0", 256)]
    for number, rate in enumerate((6, 12, 18), start=1):
        branches.append(_separable(get, x, f"aspp{number}", 256, rate=rate, activate=True, epsilon=1e-5))
    x = _convolve_norm_relu(get, np.concatenate(branches, -1), "concat_projection", 256)
    details = _convolve_norm_relu(get, low_level, "decoder/feature_projection0", 48)
    x = np.concatenate([resize(x, details.shape[:2], align_corners=True), details], -1)
    for number in (0, 1):
        x = _separable(get, x, f"decoder/decoder_conv{number}", 256, activate=True, epsilon=1e-5)
    return convolve(x, get("logits/semantic/weights", 1, 1, 256, classes)) + get("logits/semantic/biases", classes)


# ---- DeepLabv3 on MobileNetV2, output stride 16

# (channels, stride) of each block at width 1; the fourth stride of 2 became a rate of the three blocks behind it.
MOBILENET_BLOCKS = (
    *((16, 1), (24, 2), (24, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1), (64, 1)),
    *((96, 1), (96, 1), (96, 1), (160, 1), (160, 1), (160, 1), (320, 1)),
)
MOBILENET_DILATED = (14, 15, 16)


def _every_second(x: np.ndarray) -> np.ndarray:
    """What a stride of 2 and SAME leave: centres 1, 3, ... where the extent is even, 0, 2, ... where it is odd."""
    return x[1 - x.shape[0] % 2 :: 2, 1 - x.shape[1] % 2 :: 2]


def mobilenet_v2(get: Variables, picture: np.ndarray, width: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features at stride 16, and those that the decoder reads at stride 4."""

    def relu6(x: np.ndarray, scope: str) -> np.ndarray:
        return np.clip(batch_norm(get, x, f"{scope}/BatchNorm", 1e-3), 0, 6)

    x = picture.astype(np.float64) * 2 / 255 - 1
    root = int(32 * width)
    x = relu6(_every_second(convolve(x, get("MobilenetV2/Conv/weights", 3, 3, 3, root))), "MobilenetV2/Conv")
    low_level = None
    for number, (channels, stride) in enumerate(MOBILENET_BLOCKS):
        scope = f"MobilenetV2/expanded_conv_{number}" if number else "MobilenetV2/expanded_conv"
        channels, y, before = int(channels * width), x, x.shape[-1]
        if number:
            y = relu6(convolve(y, get(f"{scope}/expand/weights", 1, 1, before, 6 * before)), f"{scope}/expand")
        kernel = get(f"{scope}/depthwise/depthwise_weights", 3, 3, y.shape[-1], 1)
        y = convolve_depthwise(y, kernel, rate=2 if number in MOBILENET_DILATED else 1)
        y = relu6(_every_second(y) if stride == 2 else y, f"{scope}/depthwise")
        low_level = y if number == 2 else low_level
        y = convolve(y, get(f"{scope}/project/weights", 1, 1, y.shape[-1], channels))
        y = batch_norm(get, y, f"{scope}/project/BatchNorm", 1e-3)
        x = x + y if before == channels and stride == 1 else y
    return x, low_level


def deeplabv3_mobilenet_v2(get: Variables, picture: np.ndarray, classes: int = 21, width: float = 1.0) -> np.ndarray:
    """Logits of (height, width, 3) RGB at stride 16."""
    x, _ = mobilenet_v2(get, picture, width)
    pooled = _convolve_norm_relu(get, x.mean(axis=(0, 1), keepdims=True), "image_pooling", 256)
    branches = [resize(pooled, x.shape[:2], align_corners=True), _convolve_norm_relu(get, x, "aspp0", 256)]
    x = _convolve_norm_relu(get, np.concatenate(branches, -1), "concat_projection", 256)
    return convolve(x, get("logits/semantic/weights", 1, 1, 256, classes)) + get("logits/semantic/biases", classes)
