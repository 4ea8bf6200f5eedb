"""The contact sheet of near-duplicates: the nearest pairs of two sets of pictures, side by side."""

import math
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from segrepro.data.pictures import read_rgb
from segrepro.evaluation.near_duplicates import HASH_BITS, Pair
from segrepro.report.style import INK, MUTED, PAGE_WIDTH_INCHES, figure_style, new_figure

PAIRS_A_ROW = 3

# Lengths in inches.
MARGIN = 0.06
GAP = 0.12  # between pairs
SEAM = 0.03  # between the two pictures of a pair
HEAD = 0.40  # the sheet's title
CAPTION = 0.27  # above each pair: distance and ids

TILE_PIXELS = 320  # more than a tile has on the page


def squared(picture: np.ndarray) -> np.ndarray:
    """Shrink a picture into a white square, keeping its aspect.

    Args:
        picture: uint8 RGB, shape (height, width, 3).

    Returns:
        uint8 RGB, shape (`TILE_PIXELS`, `TILE_PIXELS`, 3).
    """
    height, width = picture.shape[:2]
    factor = TILE_PIXELS / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((TILE_PIXELS, TILE_PIXELS, 3), 255, np.uint8)
    top, left = (TILE_PIXELS - size[1]) // 2, (TILE_PIXELS - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = shrunk
    return tile


def draw_pairs(
    pairs: list[Pair], pictures_a: dict[str, Path], pictures_b: dict[str, Path], *, max_distance: int, title: str
) -> Figure:
    """Draw pairs from left to right, each under its distance and ids; those beyond the bound are captioned so.

    Args:
        pairs: nearest first; may be empty, the title says why.
        pictures_a: file of each ``id_a``.
        pictures_b: file of each ``id_b``.
        max_distance: bits; pairs beyond it are no near-duplicates, and shown for comparison.
        title: at most two lines, above all.
    """
    cell = (PAGE_WIDTH_INCHES - 2 * MARGIN - (PAIRS_A_ROW - 1) * GAP) / PAIRS_A_ROW
    side = (cell - SEAM) / 2
    rows = math.ceil(len(pairs) / PAIRS_A_ROW)
    height = HEAD + rows * (CAPTION + side) + 2 * MARGIN
    with figure_style():
        figure = new_figure(PAGE_WIDTH_INCHES, height)
        figure.text(MARGIN / PAGE_WIDTH_INCHES, 1 - MARGIN / height, title, ha="left", va="top", size=8)
        for place, pair in enumerate(pairs):
            left = MARGIN + place % PAIRS_A_ROW * (cell + GAP)
            bottom = height - HEAD - (place // PAIRS_A_ROW + 1) * (CAPTION + side)
            _caption(figure, pair, (left, bottom + side), max_distance)
            for number, path in enumerate((pictures_a[pair.id_a], pictures_b[pair.id_b])):
                _draw_tile(figure, read_rgb(path), (left + number * (side + SEAM), bottom), side)
    return figure


def _caption(figure: Figure, pair: Pair, corner: tuple[float, float], max_distance: int) -> None:
    width, height = figure.get_size_inches()
    near = pair.distance <= max_distance
    text = f"{pair.distance} of {HASH_BITS} bits differ" + ("" if near else ": not near")
    lines = (
        (text, 0.115, 6.5, "bold" if near else "normal", INK if near else MUTED),
        (f"{pair.id_a}   {pair.id_b}", 0.025, 5, "normal", MUTED),
    )
    left, bottom = corner
    for line, above, size, weight, colour in lines:
        y = (bottom + above) / height
        figure.text(left / width, y, line, ha="left", va="bottom", size=size, weight=weight, color=colour)


def _draw_tile(figure: Figure, picture: np.ndarray, corner: tuple[float, float], side: float) -> None:
    width, height = figure.get_size_inches()
    axes = figure.add_axes((corner[0] / width, corner[1] / height, side / width, side / height))
    axes.imshow(squared(picture), interpolation="antialiased", aspect="auto")
    axes.set_axis_off()
