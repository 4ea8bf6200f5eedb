r"""Compute bootstrap intervals of mIoU, and of the differences between systems, over the pictures of each split.

Reads metrics and the per-picture confusions beside them, in the same order. Pictures are drawn with replacement,
the same ones for all systems of a split; intervals are BCa. `segrepro table` prints them.

  segrepro statistics --metrics results/metrics/*/voc_val.json --confusions results/metrics/*/voc_val.npz \
      --resamples 2000 --confidence 0.95 --seed 0 --out results/statistics.json
"""

import argparse

from segrepro.config.tables import Bootstrap
from segrepro.options import INPUT, OUTPUT, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--metrics", type=INPUT, nargs="+", required=True, metavar="JSON", help="metrics files")
    add("--confusions", type=INPUT, nargs="+", required=True, metavar="NPZ", help="of each, in the same order")
    add_options(parser, Bootstrap)
    add("--out", type=OUTPUT, required=True, metavar="JSON", help="file to write")


def run(args: argparse.Namespace) -> None:
    from segrepro.evaluation.metrics import read_metrics
    from segrepro.evaluation.statistics import read_scored, statistics
    from segrepro.files import write_json

    scored = read_scored(read_metrics(args.metrics), args.confusions)
    write_json(args.out, statistics(scored, section_of(args, Bootstrap)).model_dump(mode="json"))
