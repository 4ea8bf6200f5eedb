r"""Collect metrics into the comparison tables.

Writes two CSV tables, one row a system and split in the order given, values in percent with two decimals; `leaks` is
the share of the scored pictures that were seen in the system's making, where `segrepro audit` found any:
  --miou       mIoU, pixel accuracy, mean accuracy, frequency-weighted IoU, beside the reported values
  --per-class  the IoU of each class

  segrepro tables --metrics results/metrics/*/voc_val.json --reported reported.json \
      --miou results/tables/miou.csv --per-class results/tables/per_class_iou.csv

The reported values are a JSON in percent:
  {"deeplabv3_trainaug": {"voc_val": {"miou": 76.42, "pixel_accuracy": 94.45, "source": "report 2"}}}
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--metrics", type=Path, nargs="+", required=True, metavar="JSON", help="metrics files, in row order"
    )
    parser.add_argument("--reported", type=Path, metavar="JSON", help="what reports and papers state")
    parser.add_argument("--leakage", type=Path, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--miou", type=Path, required=True, metavar="CSV", help="main table to write")
    parser.add_argument("--per-class", type=Path, required=True, metavar="CSV", help="class table to write")


def run(args: argparse.Namespace) -> None:
    """Write both tables."""
    from segrepro.evaluation.leakage import read_marks
    from segrepro.report.tables import (
        MIOU_COLUMNS,
        miou_rows,
        per_class_rows,
        read_metrics,
        read_reported,
        write_table,
    )

    metrics = read_metrics(args.metrics)
    reported = read_reported(args.reported) if args.reported else {}
    marks = read_marks(args.leakage) if args.leakage else None
    columns, rows = per_class_rows(metrics, marks)
    write_table(args.miou, MIOU_COLUMNS, miou_rows(metrics, reported, marks))
    write_table(args.per_class, columns, rows)
