r"""Collect what systems keep of detail into a table: boundary IoU, trimap mIoU, IoU of objects by size.

One row a system and split in the order given, values in percent with two decimals, each with the ends of its bootstrap
interval over pictures (`_low`, `_high`). `trimap_5` is the mIoU within 5 pixels of the truth's boundaries, `object_32`
the IoU of objects of 32 x 32 pixels up to the next size, `object_32_count` their number.

  segrepro table-boundary --detail results/metrics/*/voc_val.detail.npz --out results/tables/boundary.csv
"""

import argparse

from segrepro.config.tables import Bootstrap
from segrepro.options import INPUT, OutputFile, add_options, section_of
from segrepro.report.measured_on import add_measured_on_option

TABLE = OutputFile(endings=(".csv",), beside=(".md", ".tex"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--detail", type=INPUT, nargs="+", required=True, metavar="NPZ", help="from `segrepro evaluate`, in row order"
    )
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument(
        "--out",
        type=TABLE,
        required=True,
        metavar="CSV",
        help="table to write, with .md and .tex beside",
    )
    add_measured_on_option(parser)
    add_options(parser, Bootstrap)


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    from segrepro.evaluation.detail import load_detail
    from segrepro.evaluation.leakage import read_marks
    from segrepro.report.detail import boundary_rows, boundary_table, check_comparable
    from segrepro.report.measured_on import with_note
    from segrepro.report.printed import write_forms

    details = [load_detail(path) for path in args.detail]
    check_comparable(details, one_split=False)
    bootstrap = section_of(args, Bootstrap)
    columns, rows = boundary_rows(details, bootstrap, read_marks(args.leakage) if args.leakage else None)
    table = boundary_table(args.out.stem, columns, rows, bootstrap)
    write_forms(args.out.parent, with_note(table, args.measured_on))
