"""Fine-grained metrics with their intervals: near boundaries and by object size; and the table of them."""

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import Estimates, estimate
from segrepro.evaluation.fine_grained import FineCounts, load_fine_counts, size_iou
from segrepro.evaluation.leakage import leaking_share, marked_systems, read_marks, share_text
from segrepro.evaluation.metrics import mean_iou
from segrepro.evaluation.object_sizes import size_names
from segrepro.options import section_of
from segrepro.report.printed import Table
from segrepro.report.results import notes

# The bands of the table, of those that were measured: the boundary itself, and up to the whole of the curves.
TABLE_WIDTHS = (1, 3, 5, 10, 20, 40)


@dataclass(frozen=True)
class Measured:
    """A system's metrics on a split, fractions in [0, 1]."""

    miou: Estimates  # over all pixels
    boundary: Estimates  # boundary IoU, mean over classes
    trimap: Estimates  # mIoU within each band, shape (widths,)
    kept: Estimates  # the same as a share of mIoU, of the same draws: how much of it is left near boundaries
    sizes: Estimates  # IoU of objects by size, shape (ranges,)
    objects: np.ndarray  # their number in each range, shape (ranges,)


def measure(counts: FineCounts, bootstrap: Bootstrap) -> Measured:
    """Compute a system's metrics and their intervals."""
    pixels = np.concatenate([counts.whole[:, None], counts.boundary[:, None], counts.trimap], axis=1)
    means = estimate(_means_and_shares, pixels, bootstrap)
    bands = len(counts.settings.trimap_widths)
    return Measured(
        miou=means.at(0),
        boundary=means.at(1),
        trimap=means.at(slice(2, 2 + bands)),
        kept=means.at(slice(2 + bands, None)),
        sizes=estimate(size_iou, counts.objects, bootstrap),
        objects=counts.objects[:, 0].sum(axis=(0, -1), dtype=np.int64),
    )


def _means_and_shares(sums: np.ndarray) -> np.ndarray:
    """Return the mean IoU of each kind of pixels, then that of each band as a share of that of all pixels."""
    means = mean_iou(sums)
    whole = means[:, :1]
    return np.concatenate([means, means[:, 2:] / np.where(whole > 0, whole, np.nan)], axis=1)


def check_comparable(all_counts: list[FineCounts], *, one_split: bool) -> None:
    """Refuse systems whose numbers must not stand side by side.

    Raises:
        UserError: they were measured otherwise, a pair of system and split comes twice, or (with ``one_split``) splits
            or pictures differ.
    """
    first, pairs = all_counts[0], set()
    for counts in all_counts:
        name = f"system '{counts.system}' on '{counts.split}'"
        if (counts.system, counts.split) in pairs:
            raise UserError(f"{name} was given twice; give each pair once.")
        pairs.add((counts.system, counts.split))
        if counts.settings != first.settings:
            raise UserError(
                f"{name} was measured otherwise than '{first.system}'; evaluate both with the same options."
            )
        if one_split and (counts.split, counts.ids) != (first.split, first.ids):
            raise UserError(f"{name} is of other pictures than '{first.system}' on '{first.split}'; give one split.")


def compared(args: argparse.Namespace) -> tuple[FineCounts, list[str], list[Measured]]:
    """Read and measure the systems of a figure, all of one split.

    Returns:
        The first system's counts, the names (with a dagger where a system leaks) and the metrics of each system.

    Raises:
        UserError: a file cannot be read, or the systems cannot be compared.
    """
    all_counts = [load_fine_counts(path) for path in args.fine_grained]
    check_comparable(all_counts, one_split=True)
    names = marked_systems([entry.system for entry in all_counts], all_counts[0].split, args.leakage)
    bootstrap = section_of(args, Bootstrap)
    return all_counts[0], names, [measure(entry, bootstrap) for entry in all_counts]


def size_titles(counts: FineCounts, measured: Measured) -> list[str]:
    """Name the ranges of sizes for a legend, with the number of objects in each."""
    names = size_names(counts.settings.object_sides)
    return [f"{name} ({count})" for name, count in zip(names, measured.objects, strict=True)]


def boundary_table(args: argparse.Namespace) -> Table:
    """Build ``boundary``: a row per system and split; its columns are said by `segrepro.report.tables.boundary_column`.

    Of the bands that were measured it has those of `TABLE_WIDTHS`, or all where none of these was.
    """
    all_counts = [load_fine_counts(path) for path in args.fine_grained]
    check_comparable(all_counts, one_split=False)
    bootstrap, marks = section_of(args, Bootstrap), read_marks(args.leakage) if args.leakage else None
    settings = all_counts[0].settings
    widths = [width for width in settings.trimap_widths if width in TABLE_WIDTHS] or list(settings.trimap_widths)
    rows = []
    for counts in all_counts:
        measured = measure(counts, bootstrap)
        share = "" if marks is None else share_text(leaking_share(marks, counts.system, counts.split))
        row = {"system": counts.system, "split": counts.split, "leaks": share}
        row |= _percent("miou", measured.miou) | _percent("boundary_iou", measured.boundary)
        for width in widths:
            row |= _percent(f"trimap_{width}", measured.trimap.at(settings.trimap_widths.index(width)))
        for place, side in enumerate((0, *settings.object_sides)):
            row |= _percent(f"object_{side}", measured.sizes.at(place))
            row[f"object_{side}_count"] = measured.objects[place]
        rows.append(row)
    intervals = (
        f"In brackets: {100 * bootstrap.confidence:g} % bootstrap intervals over pictures "
        f"({bootstrap.resamples} resamples)."
    )
    return Table(pd.DataFrame(rows), [*notes(args.measured_on), intervals])


def _percent(name: str, measured: Estimates) -> dict[str, float]:
    return {name: 100 * measured.value, f"{name}_low": 100 * measured.low, f"{name}_high": 100 * measured.high}
