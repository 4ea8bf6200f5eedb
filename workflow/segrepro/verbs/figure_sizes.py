r"""Draw each system's mIoU beside its boundary IoU, and its IoU of objects by their size.

A line a system, its metrics as points with bootstrap intervals over pictures.

  segrepro figure-sizes --detail results/metrics/{fcn8s,edeconvnet}/voc_val.detail.npz \
      --out results/figures/object_sizes/voc_val.png results/figures/object_sizes/voc_val.pdf
"""

import argparse
from pathlib import Path

from segrepro.evaluation.bootstrap_settings import add_bootstrap_options, bootstrap_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--detail", type=Path, nargs="+", required=True, metavar="NPZ", help="from `segrepro evaluate`, a system each"
    )
    parser.add_argument("--leakage", type=Path, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, metavar="FILE", help="figures to write: .png, .pdf, .svg"
    )
    add_bootstrap_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, draw and save."""
    from segrepro.report.detail import compared, size_titles
    from segrepro.report.size_figure import draw_sizes
    from segrepro.report.style import check_figure_paths, save_figure

    check_figure_paths(args.out)
    details, names, measured = compared(args.detail, bootstrap_of(args), args.leakage)
    titles = size_titles(details[0], measured[0])
    save_figure(draw_sizes(names, measured, titles, split=details[0].split), args.out)
