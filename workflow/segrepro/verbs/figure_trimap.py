r"""Draw trimap curves: the mIoU of several systems within bands around the truth's boundaries.

The left panel has the mIoU in the band, the right one its share of the mIoU of all pixels: who keeps more near
boundaries. Shaded: bootstrap intervals over pictures. Seven systems to a row of panels.

  segrepro figure-trimap --detail results/metrics/{fcn8s,edeconvnet}/voc_val.detail.npz \
      --out results/figures/trimap/voc_val.png results/figures/trimap/voc_val.pdf
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
    from segrepro.report.detail import compared
    from segrepro.report.style import check_figure_paths, save_figure
    from segrepro.report.trimap import draw_trimaps

    check_figure_paths(args.out)
    details, names, measured = compared(args.detail, bootstrap_of(args), args.leakage)
    first = details[0]
    save_figure(draw_trimaps(names, measured, first.settings.trimap_widths, split=first.split), args.out)
