"""How intervals are made, and the command-line options that say so."""

import argparse
from dataclasses import dataclass

from segrepro.options import INNER_SHARE, POSITIVE, SEED


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
        type=POSITIVE,
        default=default.resamples,
        metavar="N",
        help=f"of the bootstrap (default: {default.resamples})",
    )
    parser.add_argument(
        "--confidence",
        type=INNER_SHARE,
        default=default.confidence,
        metavar="C",
        help=f"of the intervals, in (0, 1) (default: {default.confidence})",
    )
    parser.add_argument(
        "--seed", type=SEED, default=default.seed, metavar="N", help=f"of the bootstrap (default: {default.seed})"
    )


def bootstrap_of(args: argparse.Namespace) -> Bootstrap:
    """Return what the options say."""
    return Bootstrap(args.resamples, args.confidence, args.seed)
