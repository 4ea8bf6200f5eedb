r"""Draw a figure of the report: `segrepro figure NAME` with the options of that figure.

  segrepro figure grid --manifest data/manifests/voc_val.csv \
      --scores results/scores/a/voc_val.h5 results/scores/b/voc_val.h5 --out results/figures/grid.png
  segrepro figure crf --manifest data/manifests/voc_val.csv \
      --scores results/scores/fcn8s/voc_val.h5 results/scores/fcn8s_crf/voc_val.h5 --out results/figures/crf.png
  segrepro figure training --history results/models/a/history.csv --names a --out results/figures/training.pdf

The figures:
"""

import argparse

from segrepro.options import FIGURE
from segrepro.report.figures import FIGURES
from segrepro.report.registry import Entry

ENTRIES = {name: entry for name, entry in FIGURES.items() if entry.made_by}


def add_arguments(parser: argparse.ArgumentParser, entry: Entry) -> None:
    from segrepro.report.needs import add_entry_options

    add_entry_options(parser, entry)
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    parser.set_defaults(entry=entry)


def run(args: argparse.Namespace) -> None:
    from segrepro.report.style import save_figure

    save_figure(args.entry.make(args), args.out)
