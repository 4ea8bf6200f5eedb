"""What the tables and figures say of detail: means and intervals of a system's counts near boundaries and by size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.config.tables import Bootstrap
from segrepro.errors import UserError
from segrepro.evaluation.bootstrap import Estimates, estimate
from segrepro.evaluation.class_counts import mean_iou
from segrepro.evaluation.detail import Detail, load_detail, size_iou
from segrepro.evaluation.leakage import Marks, leaking_share, marked_systems, share_text
from segrepro.evaluation.object_sizes import size_names
from segrepro.report.numbers import interval_text, leak_mark
from segrepro.report.printed import LEAK_NOTE, NOTHING, Part, Table

# The bands of the table, of those that were measured: the boundary itself, and up to the whole of the curves.
TABLE_WIDTHS = (1, 3, 5, 10, 20, 40)


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


def boundary_rows(
    details: list[Detail], bootstrap: Bootstrap, marks: Marks | None = None
) -> tuple[list[str], list[dict[str, str]]]:
    """Build ``boundary.csv``: a row a system and split; values in percent with two decimals, each with its interval.

    Args:
        details: checked by `check_comparable`.
        bootstrap: how intervals are made.
        marks: the audit's shares of leaked pictures; None where there was no audit.

    Returns:
        The columns and the rows: mIoU, boundary IoU, the trimaps' mIoU (``trimap_5``: within 5 pixels), the objects'
        IoU from each size on (``object_32``: of 32² pixels up to the next) and how many there are. ``_low`` and
        ``_high`` are the ends of the interval. Empty where nothing was counted.
    """
    settings = details[0].settings
    widths = [width for width in settings.trimap_widths if width in TABLE_WIDTHS] or list(settings.trimap_widths)
    places = [settings.trimap_widths.index(width) for width in widths]
    rows = []
    for detail in details:
        measured = measure(detail, bootstrap)
        leaks = "" if marks is None else share_text(leaking_share(marks, detail.system, detail.split))
        row = {"system": detail.system, "split": detail.split, "leaks": leaks}
        row |= _cells("miou", measured.miou) | _cells("boundary_iou", measured.boundary)
        for width, place in zip(widths, places, strict=True):
            row |= _cells(f"trimap_{width}", measured.trimap.at(place))
        for place, side in enumerate((0, *settings.object_sides)):
            row |= _cells(f"object_{side}", measured.sizes.at(place))
            row[f"object_{side}_count"] = str(measured.objects[place])
        rows.append(row)
    return list(rows[0]), rows


def boundary_table(name: str, columns: list[str], rows: list[dict[str, str]], bootstrap: Bootstrap) -> Table:
    """Lay out what `boundary_rows` made for Markdown and LaTeX: each value with its interval in one column."""
    values = [column for column in columns[3:] if not column.endswith(("_low", "_high", "_count"))]
    cells = [
        [row["system"] + leak_mark(row["leaks"]), row["split"], *(_with_interval(row, value) for value in values)]
        for row in rows
    ]
    return Table(
        name=name,
        title="Near boundaries and by object size: IoU in percent",
        columns=columns,
        rows=rows,
        parts=[Part("", ["system", "split", *(_heading(value) for value in values)], cells)],
        notes=[
            LEAK_NOTE,
            f"In brackets: {100 * bootstrap.confidence:g} % bootstrap intervals over pictures "
            f"({bootstrap.resamples} resamples).",
        ],
    )


def _with_interval(row: dict[str, str], value: str) -> str:
    return f"{row[value]} {interval_text(row[f'{value}_low'], row[f'{value}_high'])}" if row[value] else NOTHING


def _heading(value: str) -> str:
    kind, _, number = value.rpartition("_")
    if kind == "trimap":
        return f"within {number} px"
    if kind == "object":
        return f"objects from {number} x {number}"
    return {"miou": "mIoU", "boundary_iou": "boundary IoU"}[value]


def _cells(name: str, measured: Estimates) -> dict[str, str]:
    values = {name: measured.value, f"{name}_low": measured.low, f"{name}_high": measured.high}
    return {key: "" if np.isnan(value) else f"{100 * value:.2f}" for key, value in values.items()}


def size_titles(detail: Detail, measured: Measured) -> list[str]:
    """Name the ranges of sizes for a legend, with the number of objects in each."""
    names = size_names(detail.settings.object_sides)
    return [f"{name} ({count})" for name, count in zip(names, measured.objects, strict=True)]
