"""What the explorer shows of a split: each picture, its labels by the truth and every system, and its scores.

A folder with, for picture number n of the split, in the manifest's order and from 1 (ids may hold what file names
may not)::

    n.jpg      the picture as published
    n.js       its label maps, packed: the truth, then every system
    index.js   the split: classes, colours, systems; of each picture id, size, IoUs; how much any two maps differ

A picture's maps come in one file: a reader who switches systems waits for nothing, and a split of 1,449 pictures by 15
systems is 2,900 files rather than 24,000.
"""

import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.data.masks import read_mask
from segrepro.data.parallel import map_in_processes
from segrepro.errors import UserError
from segrepro.evaluation.confusion import confusions_of
from segrepro.evaluation.metrics import metrics
from segrepro.files import atomic_directory
from segrepro.labels import VOID, LabelSpace, voc_palette
from segrepro.report.page.scripts import packed, packed_labels, write_script
from segrepro.stores.manifests import Example, read_manifest
from segrepro.stores.same_pictures import system_of
from segrepro.stores.scores import ScoreReader

# Shares are kept as whole numbers of this part: two decimals of a percent, as the tables print.
PARTS = 10_000


@dataclass(frozen=True)
class PicturePacker:
    """Writes a picture and its label maps into a folder; can be sent to another process."""

    stores: tuple[Path, ...]  # score stores of the systems, in order
    space: str  # label space of the masks, which the predictions are mapped to
    folder: Path

    def __call__(self, numbered: tuple[int, Example]) -> dict[str, Any]:
        """Write one picture's files; return what the index says of it, and ``differing`` for `write_split`."""
        number, example = numbered
        maps = [read_mask(example.mask)]
        for path in self.stores:
            with ScoreReader(path) as store:
                maps.append(store.labels(example.id, self.space))
            if maps[-1].shape != maps[0].shape:
                raise UserError(f"{example.mask}: differs in size from the prediction in {path}; predict again.")
        picture = f"{number}{example.image.suffix}"
        try:
            shutil.copyfile(example.image, self.folder / picture)
        except FileNotFoundError:
            raise UserError(f"{example.image}: no such picture; convert its dataset again.") from None
        layers = [packed_labels(labels) for labels in maps]
        write_script(self.folder / f"{number}.js", "labels", {"number": number, "layers": layers})
        height, width = maps[0].shape
        size = {"width": width, "height": height}
        return {"id": example.id, "file": picture, **size, "differing": differing(np.stack(maps))}


def differing(maps: np.ndarray) -> np.ndarray:
    """Return on how much of a picture any two of its label maps differ, outside the void of the truth, the first.

    Returns:
        uint16, in parts of `PARTS`: pairs (0, 1), (0, 2), ..., (1, 2), ...; all 0 where the truth is all void.
    """
    scored = maps[0] != VOID
    count = max(1, np.count_nonzero(scored))
    flat = maps[:, scored]
    pairs = itertools.combinations(flat, 2)
    return np.array([round(PARTS * np.count_nonzero(a != b) / count) for a, b in pairs], np.uint16)


def picture_scores(confusion: np.ndarray) -> tuple[list[int], list[int]]:
    """Return the labels in a picture's truth and the IoU of each, in parts of `PARTS`; both empty if all is void."""
    if not confusion.any():
        return [], []
    result = metrics(confusion)
    present = np.flatnonzero(result.present)
    return present.tolist(), [round(PARTS * float(iou)) for iou in result.iou[present]]


def write_split(
    folder: Path, manifest: Path, *, stores: list[Path], confusions: list[Path], space: LabelSpace, threads: int
) -> None:
    """Write a split's folder, whole or not at all; it replaces one that is there.

    The manifest names the split; its pictures have masks. ``confusions`` belong to the stores, in the same order.

    Raises:
        UserError: a file is missing, damaged, or is of other pictures.
    """
    name, examples = manifest.stem, read_manifest(manifest)
    systems = [system_of(store, space.name, examples, manifest) for store in stores]
    counts = [confusions_of(path, [example.id for example in examples], space) for path in confusions]
    with atomic_directory(folder) as partial:
        packer, numbered = PicturePacker(tuple(stores), space.name, partial), list(enumerate(examples, start=1))
        pictures = map_in_processes(packer, numbered, threads=threads, label=name, total=len(examples))
        differing = np.stack([picture.pop("differing") for picture in pictures])
        for number, picture in enumerate(pictures):
            scores = [picture_scores(of_system[number]) for of_system in counts]
            picture |= {"classes": scores[0][0], "iou": [iou for _, iou in scores]}
        totals = [round(PARTS * metrics(of_system.sum(axis=0)).miou) for of_system in counts]
        index = {
            "name": name,
            "void": VOID,
            "parts": PARTS,
            "classes": _classes(space),
            "systems": [{"name": system, "miou": miou} for system, miou in zip(systems, totals, strict=True)],
            "pictures": pictures,
            "differing": packed(differing),
        }
        write_script(partial / "index.js", "split", index)


def _classes(space: LabelSpace) -> list[dict[str, Any]]:
    named = [*((label, space.classes[label]) for label in space.used_labels), (VOID, "void")]
    return [
        {"label": label, "name": name, "colour": "#{:02x}{:02x}{:02x}".format(*voc_palette()[label])}
        for label, name in named
    ]
