"""The options of figures that compare systems by their detail, and what such a verb does."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from segrepro.evaluation.bootstrap_settings import add_bootstrap_options, bootstrap_of
from segrepro.options import FIGURE, INPUT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from segrepro.evaluation.detail import Detail
    from segrepro.report.detail import Measured


def add_compared_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options: the systems, the audit's marks, the figure's files, and how intervals are made."""
    parser.add_argument(
        "--detail", type=INPUT, nargs="+", required=True, metavar="NPZ", help="from `segrepro evaluate`, a system each"
    )
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument(
        "--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="figures to write: .png, .pdf, .svg"
    )
    add_bootstrap_options(parser)


def save_compared(args: argparse.Namespace, draw: "Callable[[list[str], list[Measured], Detail], Figure]") -> None:
    """Measure the systems, draw and save.

    Args:
        args: of `add_compared_options`.
        draw: from the systems' names, their metrics, and the counts of the first, for the split and the settings that
            all share.

    Raises:
        UserError: an option or a file cannot be used, or the systems cannot be compared.
    """
    from segrepro.report.detail import compared
    from segrepro.report.style import save_figure

    details, names, measured = compared(args.detail, bootstrap_of(args), args.leakage)
    save_figure(draw(names, measured, details[0]), args.out)
