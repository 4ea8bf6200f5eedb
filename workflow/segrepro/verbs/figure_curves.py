r"""Draw training curves: loss, training pixel accuracy and learning rate against the step.

One training or several in one picture (PNG). Long histories are drawn as a running mean over 4 % of the points,
on a pale trace of the values themselves.

  segrepro figure-curves --history results/models/a/history.csv results/models/b/history.csv \
      --names a b --out results/figures/curves.png
"""

import argparse

from segrepro.options import FIGURE, INPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--history", type=INPUT, nargs="+", required=True, metavar="CSV", help="history.csv of each training"
    )
    parser.add_argument("--names", nargs="+", metavar="NAME", help="a name for each (default: the name of its folder)")
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    from segrepro.errors import UserError
    from segrepro.report.curves import draw_curves, read_history
    from segrepro.report.style import save_figure

    names = args.names or [path.resolve().parent.name for path in args.history]
    if len(names) != len(args.history):
        raise UserError(f"--names has {len(names)} names for {len(args.history)} histories; give one each.")
    histories = [read_history(path, name) for path, name in zip(args.history, names, strict=True)]
    save_figure(draw_curves(histories), args.out)
