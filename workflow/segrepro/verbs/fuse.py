r"""Combine the score stores of several systems into one.

Kinds:
  vote             majority of labels over three or more members; stored as labels
  mean             weighted mean of probabilities
  product          product of probabilities, renormalised (weights are exponents)
  release_product  EDeconvNet as released: max(0, DeconvNet's scores) x max(0, FCN's scores); two members in that
                   order, the first from `segrepro predict --proposals H5 --aggregate max --of scores`

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
import math
from pathlib import Path

from segrepro.config.systems import Fusion
from segrepro.errors import UserError
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--members", type=INPUT, nargs="*", required=True, metavar="H5", help="score stores, in order")
    add("--names", nargs="*", metavar="NAME", help="what messages call the members (default: as their stores say)")
    add("--system", required=True, help="name of the fused system, recorded in the store")
    add("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    add(
        "--metrics", type=INPUT, nargs="+", metavar="JSON", help="the members', of one split, in order; for --ties miou"
    )
    add("--label-space", default="voc21", metavar="NAME", help="label space of the result (default: voc21)")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    add_options(parser, Fusion, leave_out=("members", "ties_from"))


def run(args: argparse.Namespace) -> None:
    from segrepro.fusion.fuse import fuse
    from segrepro.fusion.members import ensemble_of

    if (args.metrics is None) == (args.ties == "miou"):
        raise UserError("--metrics and --ties miou belong together; give both, or neither.")
    ranked = str(args.metrics) if args.metrics else None
    rule = section_of(args, Fusion, members=list(map(str, args.members)), ties_from=ranked)
    ensemble = ensemble_of(args.members, names=args.names, space=args.label_space)
    mious = _mious(args.metrics, ensemble.names) if args.metrics else ()
    fuse(ensemble, rule, args.out, system=args.system, threads=args.threads, mious=mious)


def _mious(paths: list[Path], names: tuple[str, ...]) -> list[float]:
    """Read the mIoU of each member, all on the same pictures.

    Raises:
        UserError: a file is no metrics, of another system than the member in its place, or of other pictures.
    """
    from segrepro.evaluation.metrics import read_metrics

    if len(paths) != len(names):
        raise UserError(f"--metrics: {len(paths)} given for {len(names)} members; give one per member, in order.")
    entries = read_metrics(paths)
    for path, entry, name in zip(paths, entries, names, strict=True):
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
        if not (isinstance(entry["miou"], float) and math.isfinite(entry["miou"])):
            raise UserError(f"{path}: the mIoU is {entry['miou']}; evaluate '{name}' again.")
    return [entry["miou"] for entry in entries]
