"""How intervals are made, and the command-line options that say so."""

import argparse
from dataclasses import dataclass

from segrepro.errors import UserError


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        resamples: of the pictures, 1 or more.
        confidence: of the intervals, in (0, 1).
        seed: of the drawing.
    """

    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0


def add_bootstrap_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of intervals."""
    default = Bootstrap()
    parser.add_argument(
        "--resamples",
        type=int,
        default=default.resamples,
        metavar="N",
        help=f"of the bootstrap (default: {default.resamples})",
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=default.confidence,
        metavar="C",
        help=f"of the intervals, in (0, 1) (default: {default.confidence})",
    )
    parser.add_argument(
        "--seed", type=int, default=default.seed, metavar="N", help=f"of the bootstrap (default: {default.seed})"
    )


def bootstrap_of(args: argparse.Namespace) -> Bootstrap:
    """Return what the options say.

    Raises:
        UserError: a number is out of range.
    """
    if args.resamples < 1:
        raise UserError(f"--resamples is {args.resamples}; draw 1 or more (2000 is usual).")
    if not 0 < args.confidence < 1:
        raise UserError(f"--confidence is {args.confidence}; give a fraction between 0 and 1, e.g. 0.95.")
    return Bootstrap(args.resamples, args.confidence, args.seed)
