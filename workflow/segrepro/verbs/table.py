r"""Make a table of the report as CSV, Markdown and LaTeX: `segrepro table NAME` with the options of that table.

  segrepro table miou --metrics results/metrics/*/voc_val.json --published published.json \
      --statistics results/statistics.json --out results/tables/miou.csv results/tables/miou.md
  segrepro table boundary --fine-grained results/metrics/*/voc_val.fine_grained.npz --out results/tables/boundary.csv

Rows are in the order given, values in percent with two decimals. `leaks` is the share of the scored pictures that were
seen in the system's making, where `segrepro audit` found any; Markdown and LaTeX have a dagger instead, and say what
was measured where that is not the experiment as published (--measured-on). The published values are a JSON in percent:
  {"deeplabv3_trainaug": {"voc_val": {"miou": 76.42, "pixel_accuracy": 94.45, "source": "report 2"}}}

The tables:
"""

import argparse

from segrepro.options import TABLE
from segrepro.report.registry import Entry
from segrepro.report.tables import TABLES

ENTRIES = {name: entry for name, entry in TABLES.items() if entry.made_by}


def add_arguments(parser: argparse.ArgumentParser, entry: Entry) -> None:
    from segrepro.report.needs import add_entry_options

    add_entry_options(parser, entry)
    parser.add_argument(
        "--out", type=TABLE, nargs="+", required=True, metavar="FILE", help=".csv, .md or .tex to write"
    )
    parser.set_defaults(entry=entry)
    parser.epilog = "columns of the CSV:\n" + "\n".join(
        f"  {column.name:24}{column.what or column.heading or ''}".rstrip() for column in entry.columns
    )


def run(args: argparse.Namespace) -> None:
    from segrepro.report.printed import write_forms

    write_forms(args.out, args.entry, args.entry.make(args))
