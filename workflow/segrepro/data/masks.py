"""Masks as files: single-channel PNGs whose pixel VALUE is the label, read and written with Pillow.

VOC publishes palette PNGs: the index of a pixel is its label, the palette is only for the eye. OpenCV and
``Image.convert`` give colours or grey levels instead of indices (the report's own code read such grey levels as
labels), so every mask of the project is read by `read_mask`.
"""

import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from segrepro.data.pictures import opened_picture
from segrepro.errors import UserError
from segrepro.labels import VOC21, VOID, voc_palette

# What the pixels of a VOC or SBD mask may hold; SBD draws no void border.
VOC_MASK_VALUES = frozenset((*VOC21.used_labels, VOID))
SBD_MASK_VALUES = frozenset(VOC21.used_labels)

# What is said of files that a manifest names.
UNCONVERTED = "the manifest names this file but it is missing; convert the source again"
UNDECODABLE = "cannot be decoded ({fault}); delete it and convert the source again"

# The palettes by whose colours an index is known to be a label, uint8 (256, 3): VOC's, and grey levels i, i, i.
VOC_COLOURS = voc_palette()
GREY_LEVELS = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)


def read_mask(source: Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Read a mask: the pixel values of a grey PNG, the pixel indices of a palette PNG.

    ``name`` is what messages call it (an archive's member, say), the path where not given. Returns uint8 of shape
    (height, width): labels as they are in the file, not yet checked.

    Raises:
        UserError: the file is missing or damaged, is no PNG (JPEG changes labels), has colours instead of one
            channel, grey levels of fewer than 8 bits, or a palette by which its indices are no labels.
    """
    name = name or ("mask" if isinstance(source, bytes) else str(source))
    missing = "no such mask; convert the dataset again"
    damaged = "the mask cannot be read ({fault}); get its archive again"
    with opened_picture(source, name, missing=missing, damaged=damaged) as opened:
        _refuse_few_bits(opened, name)
        palette = stored_palette(opened)
        if opened.format != "PNG" or opened.mode not in ("L", "P"):
            raise UserError(
                f"{name}: a {opened.format} of mode {opened.mode} is no mask; use a single-channel or palette PNG "
                "(mode L or P), where the pixel value is the label."
            )
        mask = np.array(opened)
    if opened.mode == "P":
        _check_palette(mask, palette, name)
    return mask


def read_converted_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read a mask as a dataset folder must hold it: an 8-bit, single-channel PNG of ``size`` (width, height).

    Stricter than `read_mask`, which also reads the palette PNGs of the archives: the training input would decode a
    palette to colours. What passes here, the training input reads to the same labels.

    Raises:
        UserError: the file is missing, damaged, no single-channel PNG, or of another size.
    """
    with opened_picture(path, str(path), missing=UNCONVERTED, damaged=UNDECODABLE) as mask:
        _refuse_few_bits(mask, str(path))
        mask.load()
        if mask.format != "PNG" or mask.mode != "L":
            raise UserError(
                f"{path}: not a single-channel 8-bit PNG ({mask.format}, mode {mask.mode}); a palette or RGB mask "
                "would be read as colours: convert the source again."
            )
        if mask.size != size:
            raise UserError(
                f"{path}: the mask is {mask.width}x{mask.height} but its picture is {size[0]}x{size[1]} pixels; "
                "convert the source again."
            )
        return np.asarray(mask)


def _refuse_few_bits(opened: Image.Image, name: str) -> None:
    """Refuse a grey PNG of fewer than 8 bits per pixel, by its header (the file is opened and not yet decoded).

    The PNG standard has its values stretched to 0..255, and decoders do: a 1 of 4 bits is read as 17.
    """
    if opened.format != "PNG" or not opened.tile:
        return
    layout, _, bits = str(opened.tile[0].args).partition(";")
    if layout in ("L", "1") and (bits or layout == "1"):
        raise UserError(
            f"{name}: a grey PNG of {bits or 1} bits per pixel is no mask, since decoders stretch its values to "
            "0..255; save it with 8 bits per pixel, where the pixel value is the label."
        )


def stored_palette(opened: Image.Image) -> np.ndarray:
    """Return the palette of a file that is opened and not yet decoded (Pillow then fills it up): uint8 (n, 3), RGB."""
    content = opened.palette.palette if opened.format == "PNG" and opened.palette else b""
    return np.frombuffer(bytes(content), np.uint8)[: len(content) // 3 * 3].reshape(-1, 3)


def _check_palette(mask: np.ndarray, palette: np.ndarray, name: str) -> None:
    used = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if stranger := wrong_colour(used, palette, VOC_COLOURS, GREY_LEVELS):
        index, own = stranger
        raise UserError(
            f"{name}: palette index {index} has the colour {own}, which is neither VOC's {colour(VOC_COLOURS, index)} "
            "nor the grey level of that number; a program that renumbered the palette has changed the labels: write "
            "them as indices with VOC's palette, or as a single-channel PNG."
        )


def wrong_colour(
    used: np.ndarray, palette: np.ndarray, *accepted: np.ndarray
) -> tuple[int, tuple[int, int, int] | None] | None:
    """Return the first used index, and its `colour`, that differs from all accepted palettes; None where all fit."""
    for index in used:
        own = colour(palette, index)
        if own not in [colour(official, index) for official in accepted]:
            return int(index), own
    return None


def colour(palette: np.ndarray, index: int) -> tuple[int, int, int] | None:
    """Return a palette's colour of an index: RGB; None where the palette ends before it."""
    return tuple(map(int, palette[index])) if index < len(palette) else None


def check_values(mask: np.ndarray, allowed: Collection[int], *, name: str) -> np.ndarray:
    """Return the values that occur in a mask, sorted; refuse a value that is not allowed (see `VOC_MASK_VALUES`)."""
    present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    strangers = [int(value) for value in present if value not in allowed]
    if strangers:
        highest = max(value for value in allowed if value != VOID)
        void = f" and {VOID} (void)" if VOID in allowed else ""
        raise UserError(
            f"{name}: label {strangers[0]} occurs, where 0..{highest}{void} are possible; "
            "these are not the labels of this dataset: use the official archive."
        )
    return present


def check_size(mask: np.ndarray, width: int, height: int, *, name: str) -> None:
    """Refuse a mask that does not have the size of its picture."""
    if mask.shape != (height, width):
        raise UserError(
            f"{name}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels and its picture {width} x {height}; "
            "picture and mask do not belong together: use the official archive."
        )


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask, uint8 (height, width), as single-channel PNG (mode L): what dataset folders hold."""
    # masks are runs of equal pixels: zlib's run-length strategy is faster than the default, and smaller
    _grey_picture(mask).save(path, format="PNG", compress_type=zlib.Z_RLE)


def write_palette_mask(file: Path | BinaryIO, mask: np.ndarray) -> None:
    """Write a mask, uint8 (height, width), as VOC does: palette PNG (mode P) in VOC's colours, pixel index = label."""
    picture = _grey_picture(mask)
    picture.putpalette(VOC_COLOURS.tobytes())
    picture.save(file, format="PNG")


def _grey_picture(mask: np.ndarray) -> Image.Image:
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise ValueError(f"a mask is uint8 of shape (height, width), not {mask.dtype} of {mask.shape}")
    return Image.fromarray(np.ascontiguousarray(mask))
