"""Sizes of pictures, crops and feature maps: arithmetic only, importable without TensorFlow."""

FCN_COARSEST_STRIDE = 32  # pixels; of pool5, which every FCN scores, and FCN-32s nothing else


def feature_size(size: int, stride: int) -> int:
    """Return the extent of a feature map, ``ceil(size / stride)``, for a picture's height or width in pixels.

    All networks here pad their strided layers so that an extent n becomes ceil(n / 2), and
    ceil(ceil(n / 2) / 2) = ceil(n / 4): the rule holds for any stride that is a power of two.
    """
    return -(-size // stride)


def is_crop_allowed(crop: int, output_stride: int) -> bool:
    """Say whether a training crop's side, in pixels, suits an output stride: (crop - 1) divisible by it.

    DeepLab's crops are of the form stride * k + 1 (513 = 16 * 32 + 1, 321 = 16 * 20 + 1): the first and the
    last feature then lie exactly on the first and last pixel, so that resizing the logits with aligned corners
    puts every score where it was computed. Networks accept any size; other crops just lose that alignment.
    """
    return crop > output_stride and (crop - 1) % output_stride == 0


def aspp_rates_at(rates: tuple[int, ...], output_stride: int) -> tuple[int, ...]:
    """Return the ASPP rates, in features, for an output stride, of those at 16, as papers state them: (6, 12, 18).

    Output stride 8 doubles the rates (DeepLabv3 paper, section 3.3), 32 halves them (rounded up), so that the field of
    view in pixels stays.
    """
    return tuple(max(1, -(-rate * 16 // output_stride)) for rate in rates)


def least_input_padding(fc6_kernel: int) -> int:
    """Return the least padding, pixels, with which a picture of 1 x 1 gives an FCN's ``fc6`` one feature.

    The side of fc6's kernel is odd, in features of stride 32; fc6 has no padding of its own.
    """
    return FCN_COARSEST_STRIDE // 2 * (fc6_kernel - 1) + 1
