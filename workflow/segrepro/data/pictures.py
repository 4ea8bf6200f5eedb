"""Opening and decoding picture files with Pillow: the one place that knows what is wrong with a damaged one."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from segrepro.errors import UserError

# The formats of published pictures, as Pillow calls them, with the modes that all decoders read as the same colours.
# MPO is a JPEG with a second picture behind it, as some cameras write. The inks of a CMYK JPEG are no colours, and
# decoders differ in what they make of them, as they do in what they make of 16 bit grey.
JPEG_MODES = {"JPEG": ("RGB", "L"), "MPO": ("RGB", "L")}
PICTURE_MODES = JPEG_MODES | {"PNG": ("RGB", "RGBA", "L", "LA", "P", "1")}
GREY_MODES = ("L", "LA", "1")

# What Pillow raises on files that are not what they claim to be, or end early.
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


@contextmanager
def opened_picture(
    source: Path | bytes,
    name: str,
    *,
    missing: str = "no such picture; convert its dataset again",
    damaged: str = "not a picture or damaged ({fault}); convert its dataset again",
) -> Iterator[Image.Image]:
    """Open a picture or mask, of a path or of its content, to be decoded within the ``with``.

    Raises:
        UserError: ``missing`` or, where it cannot be opened or decoded, ``damaged``, said of ``name``.
    """
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
            yield picture
    except FileNotFoundError:
        raise UserError(f"{name}: {missing}.") from None
    except _UNREADABLE as error:
        raise UserError(f"{name}: {damaged.format(fault=_fault(error))}.") from error


def _fault(error: Exception) -> str:
    """Say in words what is wrong: Pillow's own words may show an object's address."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image"
    return " ".join(str(error).split()) or type(error).__name__


def read_rgb(source: Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Read a picture as RGB: uint8 of shape (height, width, 3), not turned by EXIF (masks are not).

    A file that is missing or damaged is refused by its ``name``, or by its path where none is given.
    """
    with opened_picture(source, name or str(source)) as picture:
        return np.array(picture.convert("RGB"))


def picture_size(path: Path) -> tuple[int, int]:
    """Return a picture's width and height in pixels, from its header alone; refuse what is no picture."""
    with opened_picture(path, str(path)) as picture:
        return picture.size
