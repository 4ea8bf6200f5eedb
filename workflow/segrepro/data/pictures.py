"""Reading pictures as arrays, without TensorFlow and without matplotlib."""

from pathlib import Path

import numpy as np
from PIL import Image

from segrepro.data.masks import UNREADABLE_PICTURE, picture_fault
from segrepro.errors import UserError

# The formats of published pictures, as Pillow calls them, with the modes that all decoders read as the same colours.
# MPO is a JPEG with a second picture behind it, as some cameras write. The inks of a CMYK JPEG are no colours, and
# decoders differ in what they make of them, as they do in what they make of 16 bit grey.
JPEG_MODES = {"JPEG": ("RGB", "L"), "MPO": ("RGB", "L")}
PICTURE_MODES = JPEG_MODES | {"PNG": ("RGB", "RGBA", "L", "LA", "P", "1")}
GREY_MODES = ("L", "LA", "1")


def read_rgb(path: Path) -> np.ndarray:
    """Read a picture as RGB: uint8 of shape (height, width, 3), not turned by EXIF (masks are not).

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture; convert its data set again.") from None
    except UNREADABLE_PICTURE as error:
        raise UserError(
            f"{path}: not a picture or damaged ({picture_fault(error)}); convert its data set again."
        ) from error


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's width and height in pixels, from its header alone.

    Raises:
        UserError: the file is missing or no picture.
    """
    try:
        with Image.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture; convert its data set again.") from None
    except UNREADABLE_PICTURE as error:
        raise UserError(
            f"{path}: not a picture or damaged ({picture_fault(error)}); convert its data set again."
        ) from error
