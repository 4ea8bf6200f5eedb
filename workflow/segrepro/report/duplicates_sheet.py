"""The contact sheet of near-duplicates: the nearest pairs of two sets of pictures, side by side."""

from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from segrepro.data.pictures import read_rgb
from segrepro.evaluation.near_duplicates import HASH_BITS, Pair
from segrepro.report.sheet import BOLD, GREY, Cell, draw_tiles

PAIRS_PER_ROW = 3
TILE_PIXELS = 320  # more than a tile has on the page
SEAM_PIXELS = 8  # between the two pictures of a pair

# Lengths in inches.
GAP = 0.12  # between pairs
HEAD = 0.40  # the sheet's title


def squared(picture: np.ndarray) -> np.ndarray:
    """Shrink a picture (uint8 RGB) onto the foot of a white square of `TILE_PIXELS`, keeping its aspect."""
    height, width = picture.shape[:2]
    factor = TILE_PIXELS / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    tile = np.full((TILE_PIXELS, TILE_PIXELS, 3), 255, np.uint8)
    left = (TILE_PIXELS - size[0]) // 2
    tile[TILE_PIXELS - size[1] :, left : left + size[0]] = shrunk
    return tile


def draw_pairs(
    pairs: list[Pair], pictures_a: dict[str, Path], pictures_b: dict[str, Path], *, max_distance: int, title: str
) -> Figure:
    """Draw pairs, if any, from left to right, each over its distance and ids.

    Pairs beyond ``max_distance`` are no near-duplicates, and shown for comparison: their captions say so. The title has
    two lines at most; the pictures are files by id.
    """
    seam, cells = np.full((TILE_PIXELS, SEAM_PIXELS, 3), 255, np.uint8), []
    for pair in pairs:
        first, second = (squared(read_rgb(path)) for path in (pictures_a[pair.id_a], pictures_b[pair.id_b]))
        near = pair.distance <= max_distance
        caption = f"{pair.distance} of {HASH_BITS} bits differ" + ("" if near else ": not near")
        both = np.hstack([first, seam, second])
        cells.append(Cell(both, caption, BOLD if near else GREY, note=f"{pair.id_a}   {pair.id_b}"))
    return draw_tiles(cells, PAIRS_PER_ROW, title=title, head=HEAD, gap=GAP)
