r"""Combine the score stores of several systems into one.

Kinds:
  vote             majority of labels over three or more members; stored as labels
  mean             weighted mean of probabilities
  product          product of probabilities, renormalised (weights are exponents)
  release_product  EDeconvNet as released: max(0, DeconvNet's scores) x max(0, FCN's scores); two members in that
                   order, the first from `segrepro predict-proposals --aggregate max --of scores`

Members hold the same pictures; those in another label space are mapped first (labels after the argmax,
probabilities by sums). Ties of a vote are broken by
  probability  the largest summed probability of the tied labels (the default; all members must store scores)
  member       the label of the earliest member that voted for one of them
  miou         the same in the order of the members' mIoU in --metrics: on pictures that the vote is not scored on
  lowest       the lowest label: what report 2's code does

Example:
  segrepro fuse --kind mean --members results/scores/deconvnet_stage2/voc_val.h5 results/scores/fcn8s/voc_val.h5 \
      --system edeconvnet --out results/scores/edeconvnet/voc_val.h5 --threads 2
"""

import argparse
from pathlib import Path

from segrepro.options import FACTOR, INPUT, OUTPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--kind", required=True, help="vote, mean, product or release_product")
    parser.add_argument("--members", type=INPUT, nargs="*", required=True, metavar="H5", help="score stores, in order")
    parser.add_argument(
        "--names", nargs="*", metavar="NAME", help="what messages call the members (default: as their stores say)"
    )
    parser.add_argument("--system", required=True, help="name of the fused system, recorded in the store")
    parser.add_argument("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    parser.add_argument("--weights", type=FACTOR, nargs="+", metavar="W", help="one a member (default: 1 each)")
    parser.add_argument("--ties", metavar="RULE", help="vote: probability (default), member, miou or lowest")
    parser.add_argument(
        "--metrics", type=INPUT, nargs="+", metavar="JSON", help="the members', of one split, in order; for --ties miou"
    )
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the result (default: voc21)"
    )
    parser.add_argument(
        "--storage-stride",
        type=POSITIVE,
        default=4,
        metavar="PIXELS",
        help="of the stored map (default: 4; 1: exact); a vote is stored at full size",
    )
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Combine."""
    from segrepro.fusion.fuse import Rule, fuse
    from segrepro.fusion.members import ensemble_of

    ensemble = ensemble_of(args.members, names=args.names, space=args.label_space)
    rule = Rule(
        args.kind,
        weights=tuple(args.weights) if args.weights else None,
        ties=args.ties,
        mious=_mious(args.metrics, ensemble.names) if args.metrics else None,
        stride=args.storage_stride,
    )
    fuse(ensemble, rule, args.out, system=args.system, threads=args.threads)


def _mious(paths: list[Path], names: tuple[str, ...]) -> tuple[float, ...]:
    """Read the mIoU of each member, all on the same pictures; `segrepro.fusion.fuse.Rule` checks how many.

    Raises:
        UserError: a file is no metrics, of another system than the member in its place, or of other pictures.
    """
    from segrepro.errors import UserError
    from segrepro.report.tables import read_metrics

    entries = read_metrics(paths)
    for path, entry, name in zip(paths, entries, names, strict=False):
        if entry["system"] != name:
            raise UserError(
                f"{path}: of system '{entry['system']}' where the member is '{name}'; give the members' metrics, in "
                "order."
            )
        if entry["split"] != entries[0]["split"]:
            raise UserError(
                f"{path}: of split '{entry['split']}', but {paths[0]} of '{entries[0]['split']}'; give metrics of one "
                "split, to be compared."
            )
    return tuple(entry["miou"] for entry in entries)
