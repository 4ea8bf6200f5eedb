"""Sizes of pictures, crops and feature maps: arithmetic only, importable without TensorFlow."""

OUTPUT_STRIDES = (8, 16, 32)
FCN_COARSEST_STRIDE = 32  # pixels; of pool5, which every FCN scores, and FCN-32s nothing else


def feature_size(size: int, stride: int) -> int:
    """Return the extent of a feature map: ``ceil(size / stride)``.

    All networks here pad their strided layers so that an extent n becomes ceil(n / 2), and
    ceil(ceil(n / 2) / 2) = ceil(n / 4): the rule holds for any stride that is a power of two.

    Args:
        size: height or width of the picture, in pixels.
        stride: the network's output stride, in pixels.
    """
    return -(-size // stride)


def is_crop_allowed(crop: int, output_stride: int) -> bool:
    """Say whether a training crop's side suits an output stride: (crop - 1) divisible by it.

    DeepLab's crops are of the form stride * k + 1 (513 = 16 * 32 + 1, 321 = 16 * 20 + 1): the first and the
    last feature then lie exactly on the first and last pixel, so that resizing the logits with aligned corners
    puts every score where it was computed. Networks accept any size; other crops just lose that alignment.

    Args:
        crop: side of the square crop, in pixels.
        output_stride: the network's output stride, in pixels.
    """
    return crop > output_stride and (crop - 1) % output_stride == 0


def aspp_rates_at(rates: tuple[int, ...], output_stride: int) -> tuple[int, ...]:
    """Return the ASPP rates, in features, for an output stride.

    Args:
        rates: dilation rates at output stride 16, as papers state them: (6, 12, 18).
        output_stride: the network's output stride; 8 doubles the rates (DeepLabv3 paper, section 3.3), 32
            halves them (rounded up), so that the field of view in pixels stays.
    """
    return tuple(max(1, -(-rate * 16 // output_stride)) for rate in rates)


def least_input_padding(fc6_kernel: int) -> int:
    """Return the least padding, pixels, with which a picture of 1 x 1 gives an FCN's ``fc6`` one feature.

    Args:
        fc6_kernel: side of fc6's kernel, features of stride 32, odd; fc6 has no padding of its own.
    """
    return FCN_COARSEST_STRIDE // 2 * (fc6_kernel - 1) + 1


def fcn_fault(*, fc6_kernel: int, input_padding: int, skip_stride: int, at_once: bool) -> tuple[str, str] | None:
    """Say what is impossible in the description of an FCN.

    Args:
        fc6_kernel: side of fc6's kernel, features.
        input_padding: zeros around the picture, pixels; 0: fc6 is padded in place of the picture.
        skip_stride: pixels of the finest map that is scored: 32, 16 or 8.
        at_once: whether the poolings' features are scaled down before they are scored.

    Returns:
        The key at fault, and a sentence that follows the key and ends without a full stop; None without a fault.
    """
    if fc6_kernel % 2 == 0:
        return "fc6_kernel", f"is {fc6_kernel}: give an odd number, so that features keep their place"
    least = least_input_padding(fc6_kernel)
    if input_padding and input_padding < least:
        needed = f"an fc6_kernel of {fc6_kernel} needs {least} pixels at least, or 0 (fc6 then pads by itself)"
        return "input_padding", f"is {input_padding!r}, but {needed}"
    if at_once and skip_stride == FCN_COARSEST_STRIDE:
        return "at_once", f"has no meaning for skip_stride {skip_stride}: remove it"
    return None
