"""What the tables and figures say of detail: means and intervals of a system's counts near boundaries and by size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import Estimates, estimate
from segrepro.evaluation.detail import Detail, load_detail, size_iou
from segrepro.evaluation.leakage import marked_systems
from segrepro.evaluation.metrics import mean_iou
from segrepro.evaluation.object_sizes import size_names


@dataclass(frozen=True)
class Measured:
    """A system's metrics on a split, fractions in [0, 1].

    Attributes:
        miou: over all pixels.
        boundary: boundary IoU, mean over classes.
        trimap: mIoU within each band, shape (widths,).
        kept: the same as a share of mIoU, of the same draws: how much is left of a system's mIoU near boundaries.
        sizes: IoU of objects by size, shape (ranges,).
        objects: number of objects in each range, shape (ranges,).
    """

    miou: Estimates
    boundary: Estimates
    trimap: Estimates
    kept: Estimates
    sizes: Estimates
    objects: np.ndarray


def measure(detail: Detail, bootstrap: Bootstrap) -> Measured:
    """Compute a system's metrics and their intervals."""
    pixels = np.concatenate([detail.whole[:, None], detail.boundary[:, None], detail.trimap], axis=1)
    means = estimate(_means_and_shares, pixels, bootstrap)
    bands = len(detail.settings.trimap_widths)
    return Measured(
        miou=means.at(0),
        boundary=means.at(1),
        trimap=means.at(slice(2, 2 + bands)),
        kept=means.at(slice(2 + bands, None)),
        sizes=estimate(size_iou, detail.objects, bootstrap),
        objects=detail.objects[:, 0].sum(axis=(0, -1), dtype=np.int64),
    )


def _means_and_shares(sums: np.ndarray) -> np.ndarray:
    """Return the mean IoU of each kind of pixels, then that of each band as a share of that of all pixels."""
    means = mean_iou(sums)
    whole = means[:, :1]
    return np.concatenate([means, means[:, 2:] / np.where(whole > 0, whole, np.nan)], axis=1)


def check_comparable(details: list[Detail], *, one_split: bool) -> None:
    """Refuse systems whose numbers must not stand side by side.

    Args:
        details: of several systems.
        one_split: whether all must be of one split, picture by picture.

    Raises:
        UserError: they were measured otherwise, a pair of system and split comes twice, or splits or pictures differ.
    """
    first, pairs = details[0], set()
    for detail in details:
        name = f"system '{detail.system}' on '{detail.split}'"
        if (detail.system, detail.split) in pairs:
            raise UserError(f"{name} was given twice; give each pair once.")
        pairs.add((detail.system, detail.split))
        if detail.settings != first.settings:
            raise UserError(
                f"{name} was measured otherwise than '{first.system}'; evaluate both with the same options."
            )
        if one_split and (detail.split, detail.ids) != (first.split, first.ids):
            raise UserError(f"{name} is of other pictures than '{first.system}' on '{first.split}'; give one split.")


def compared(
    files: list[Path], bootstrap: Bootstrap, leakage: Path | None = None
) -> tuple[list[Detail], list[str], list[Measured]]:
    """Read and measure the systems of a figure.

    Args:
        files: of `segrepro evaluate --detail`, of one split.
        bootstrap: how intervals are made.
        leakage: the audit's marks; None where there was no audit.

    Returns:
        The counts, the names (with a dagger where a system leaks) and the metrics of each system.

    Raises:
        UserError: a file cannot be read, or the systems cannot be compared.
    """
    details = [load_detail(path) for path in files]
    check_comparable(details, one_split=True)
    names = marked_systems([entry.system for entry in details], details[0].split, leakage)
    return details, names, [measure(entry, bootstrap) for entry in details]


def size_titles(detail: Detail, measured: Measured) -> list[str]:
    """Name the ranges of sizes for a legend, with the number of objects in each."""
    names = size_names(detail.settings.object_sides)
    return [f"{name} ({count})" for name, count in zip(names, measured.objects, strict=True)]
