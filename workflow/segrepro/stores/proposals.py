"""The proposals file: for every picture of a manifest the boxes where an object may be, best first.

Layout, as of `segrepro.stores.hdf5`, format version 1::

    /                       attributes: format_version, method, settings (JSON)
    /pictures/<id>          int32 (n, 4): x1, y1, x2, y2 in pixels, half-open, inside the picture; n may be 0

Ids are sorted: the same pictures and settings give the same bytes, whatever the number of processes.
`segrepro.data.proposal_search` fills it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from segrepro.errors import UserError
from segrepro.stores.hdf5 import PicturesReader, PicturesWriter


class ProposalWriter(PicturesWriter):
    """Write a proposals file, of a method and its settings (plain values)."""

    def __init__(self, path: Path, *, method: str, settings: Mapping[str, Any]) -> None:
        super().__init__(path, {"method": method, "settings": json.dumps(dict(settings), sort_keys=True)})

    def add(self, id: str, boxes: np.ndarray) -> None:
        """Store one picture's boxes, integers (n, 4): x1, y1, x2, y2, half-open, not empty, best first."""
        where = f"{self.path}: picture '{id}'"
        self._check_id(id, where)
        boxes = np.asarray(boxes)
        _check_boxes(boxes, where)
        self._create(id, shape=boxes.shape, dtype=np.int32, data=boxes.astype(np.int32))
        self._check_disk()


def _check_boxes(boxes: np.ndarray, where: str) -> None:
    if boxes.dtype.kind not in "iu" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"{where} has boxes of shape {boxes.shape} and type {boxes.dtype}; give integers (n, 4).")
    if (boxes < 0).any() or (boxes[:, :2] >= boxes[:, 2:]).any():
        raise UserError(f"{where} has a box that is empty or leaves the picture; clip and filter them first.")


class ProposalReader(PicturesReader):
    """Read a proposals file; ``method`` is the name of the method that found the boxes, ``settings`` are its own."""

    WHAT = "proposals file"
    REMEDY = "make it with `segrepro proposals`"
    ATTRIBUTES = ("method", "settings")

    def _read_attributes(self, attributes: dict[str, Any]) -> None:
        self.method: str = attributes["method"]
        try:
            self.settings: dict[str, Any] = json.loads(attributes["settings"])
        except (TypeError, ValueError):
            raise self._stranger("attribute 'settings' is damaged") from None

    def boxes(self, id: str) -> np.ndarray:
        """Return a picture's boxes: int32 (n, 4), x1, y1, x2, y2, half-open, best first; n may be 0."""
        entry = self._entry(id)
        try:
            boxes = entry[()] if isinstance(entry, h5py.Dataset) else np.array("a group")
        except OSError as error:
            raise self._damaged(error) from error
        _check_boxes(boxes, f"{self.path}: picture '{id}'")
        return boxes.astype(np.int32)
