"""Draw the class histogram of a data set, from the counts of its label checks.

Example: segrepro figure-labels --checks results/checks/voc_val.json --out results/figures/labels/voc_val.png
"""

import argparse

from segrepro.options import FIGURE, INPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--checks", type=INPUT, required=True, help="JSON that check-labels wrote")
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")


def run(args: argparse.Namespace) -> None:
    """Draw the histogram."""
    from segrepro.report.histogram import draw_histogram, read_checks
    from segrepro.report.style import save_figure

    save_figure(draw_histogram(read_checks(args.checks)), args.out)
