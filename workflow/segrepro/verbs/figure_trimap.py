r"""Draw trimap curves: the mIoU of several systems within bands around the truth's boundaries.

The left panel has the mIoU in the band, the right one its share of the mIoU of all pixels: who keeps more near
boundaries. Shaded: bootstrap intervals over pictures. Seven systems to a row of panels.

  segrepro figure-trimap --detail results/metrics/{fcn8s,edeconvnet}/voc_val.detail.npz \
      --out results/figures/trimap/voc_val.png results/figures/trimap/voc_val.pdf
"""

import argparse

from segrepro.report.compared_options import add_compared_options, save_compared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_compared_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, draw and save."""
    from segrepro.report.trimap import draw_trimaps

    save_compared(
        args,
        lambda names, measured, first: draw_trimaps(names, measured, first.settings.trimap_widths, split=first.split),
    )
