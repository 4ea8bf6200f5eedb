"""The contact sheet of the sample: pictures with their masks in VOC colours."""

from pathlib import Path

import cv2
import numpy as np

from segrepro.data.sample.annotations import void_ring
from segrepro.data.sample.archives import Drawn, class_mask
from segrepro.data.sample.scenes import SIZES
from segrepro.files import atomic_path
from segrepro.labels import voc_palette

COLUMNS, ROWS = 4, 5
MARGIN, GAP = 6, 2  # pixels about a pair, and between picture and mask


def write_preview(path: Path, drawn: dict[str, Drawn]) -> None:
    """Write a contact sheet (PNG): VOC train pictures, each with its mask beside it, twice their size."""
    scenes = list(drawn["voc_train"].values())[: COLUMNS * ROWS]
    cell_width, cell_height = (max(size[axis] for size in SIZES) + MARGIN for axis in (0, 1))
    rows = -(-len(scenes) // COLUMNS)
    sheet = np.full((rows * cell_height + MARGIN, COLUMNS * 2 * cell_width + MARGIN, 3), 255, np.uint8)
    for place, scene in enumerate(scenes):
        ringed = np.where(void_ring(scene.instances), np.uint8(255), scene.instances)
        coloured = voc_palette()[class_mask(scene, ringed)]
        pair = np.hstack([scene.image, np.full_like(scene.image[:, :GAP], 255), coloured])
        height, width = pair.shape[:2]
        y = MARGIN + place // COLUMNS * cell_height + (cell_height - MARGIN - height) // 2
        x = MARGIN + place % COLUMNS * 2 * cell_width + (2 * cell_width - MARGIN - width) // 2
        sheet[y : y + height, x : x + width] = pair
    with atomic_path(path) as temporary:
        doubled = cv2.resize(sheet, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        temporary.write_bytes(cv2.imencode(".png", doubled[..., ::-1])[1].tobytes())
