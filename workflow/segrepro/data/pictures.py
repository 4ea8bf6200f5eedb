"""Reading pictures as arrays, without TensorFlow and without matplotlib."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
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


def read_rgb(source: Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Read a picture as RGB: uint8 of shape (height, width, 3), not turned by EXIF (masks are not).

    Args:
        source: path of the picture, or its content.
        name: how messages call it; the path where not given.

    Raises:
        UserError: the file is missing or damaged.
    """
    with _opened(source, name or str(source)) as picture:
        return np.array(picture.convert("RGB"))


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's width and height in pixels, from its header alone.

    Raises:
        UserError: the file is missing or no picture.
    """
    with _opened(path, str(path)) as picture:
        return picture.size


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            yield picture
    except FileNotFoundError:
        raise UserError(f"{name}: no such picture; convert its dataset again.") from None
    except UNREADABLE_PICTURE as error:
        raise UserError(
            f"{name}: not a picture or damaged ({picture_fault(error)}); convert its dataset again."
        ) from error
