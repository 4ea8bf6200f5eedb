r"""Compute bootstrap intervals of mIoU, and of the differences between systems, over the pictures of each split.

Reads metrics and the per-picture confusions beside them, in the same order. Pictures are drawn with replacement,
the same ones for all systems of a split; intervals are BCa. `segrepro tables` prints them.

  segrepro statistics --metrics results/metrics/*/voc_val.json --confusions results/metrics/*/voc_val.npz \
      --resamples 2000 --confidence 0.95 --seed 0 --out results/statistics.json
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--metrics", type=Path, nargs="+", required=True, metavar="JSON", help="metrics files")
    parser.add_argument(
        "--confusions", type=Path, nargs="+", required=True, metavar="NPZ", help="confusions of each, in the same order"
    )
    parser.add_argument("--resamples", type=int, default=2000, metavar="N", help="resamples (default: 2000)")
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of the intervals, in (0, 1) (default: 0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the drawing (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="file to write")


def run(args: argparse.Namespace) -> None:
    """Compute and write the intervals."""
    from segrepro.errors import UserError
    from segrepro.evaluation.statistics import read_scored, statistics
    from segrepro.files import write_json
    from segrepro.report.tables import read_metrics

    if args.resamples < 1:
        raise UserError(f"--resamples is {args.resamples}; draw 1 or more (2000 is usual).")
    if not 0 < args.confidence < 1:
        raise UserError(f"--confidence is {args.confidence}; give a fraction between 0 and 1, e.g. 0.95.")
    scored = read_scored(read_metrics(args.metrics), args.confusions)
    computed = statistics(scored, resamples=args.resamples, confidence=args.confidence, seed=args.seed)
    write_json(args.out, computed.model_dump(mode="json"))
