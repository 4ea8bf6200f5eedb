"""The table of what systems keep of detail: boundary IoU, mIoU near boundaries, IoU of objects by their size."""

import argparse

import pandas as pd

from segrepro.config.tables import Bootstrap
from segrepro.evaluation.bootstrap import Estimates
from segrepro.evaluation.detail import load_detail
from segrepro.evaluation.leakage import leaking_share, read_marks, share_text
from segrepro.options import section_of
from segrepro.report.detail import check_comparable, measure
from segrepro.report.printed import Table
from segrepro.report.results import notes

# The bands of the table, of those that were measured: the boundary itself, and up to the whole of the curves.
TABLE_WIDTHS = (1, 3, 5, 10, 20, 40)


def boundary_table(args: argparse.Namespace) -> Table:
    """Build ``boundary``: a row per system and split; its columns are said by `segrepro.report.tables.boundary_column`.

    Of the bands that were measured it has those of `TABLE_WIDTHS`, or all where none of these was.
    """
    details = [load_detail(path) for path in args.detail]
    check_comparable(details, one_split=False)
    bootstrap, marks = section_of(args, Bootstrap), read_marks(args.leakage) if args.leakage else None
    settings = details[0].settings
    widths = [width for width in settings.trimap_widths if width in TABLE_WIDTHS] or list(settings.trimap_widths)
    rows = []
    for detail in details:
        measured = measure(detail, bootstrap)
        share = "" if marks is None else share_text(leaking_share(marks, detail.system, detail.split))
        row = {"system": detail.system, "split": detail.split, "leaks": share}
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
