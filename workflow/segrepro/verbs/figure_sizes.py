r"""Draw each system's mIoU beside its boundary IoU, and its IoU of objects by their size.

A line a system, its metrics as points with bootstrap intervals over pictures.

  segrepro figure-sizes --detail results/metrics/{fcn8s,edeconvnet}/voc_val.detail.npz \
      --out results/figures/object_sizes/voc_val.png results/figures/object_sizes/voc_val.pdf
"""

import argparse

from segrepro.report.compared_options import add_compared_options, save_compared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add_compared_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, draw and save."""
    from segrepro.report.detail import size_titles
    from segrepro.report.size_figure import draw_sizes

    save_compared(
        args,
        lambda names, measured, first: draw_sizes(names, measured, size_titles(first, measured[0]), split=first.split),
    )
