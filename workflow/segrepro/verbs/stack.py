r"""Learn to combine the score stores of several systems into one.

The kinds are `network`, three layers of convolutions on the members' log-probabilities (63 channels for three members
of VOC-21); `shared`, the same for each class on the members' log-probabilities of that class, with weights that all
classes share; and `linear`, a product of the members whose exponents, one per member and class, are learned.

Without --fit-manifest the pictures are dealt into --folds, and each fold is predicted by a stacker that was fitted on
the others; with it, one stacker is fitted on other pictures, and no mask of the scored ones is read. The report (JSON)
names the pictures that each stacker was fitted on and predicted, its losses, and the loss of the members' plain
product on the same pictures.

Members hold the same pictures, at any stride; those in another label space are mapped first. Members that store labels
(a vote) have no probabilities and are refused.

Example:
  segrepro stack --kind shared --members results/scores/deeplabv3_trainaug/voc_val.h5 \
      results/scores/deeplabv3_coco20/voc_val.h5 results/scores/deeplabv3plus_trainaug/voc_val.h5 \
      --manifest data/sample/manifests/voc_val.csv --system stacking_learned \
      --out results/scores/stacking_learned/voc_val.h5 --json results/stackers/stacking_learned/voc_val.json
"""

import argparse

from segrepro.config.systems import Stacking
from segrepro.errors import UserError
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, OUTPUT, POSITIVE, SEED, add_options, section_of

LEFT_OUT = ("members", "fit_on", "fit_pictures")  # these are files here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--members", type=INPUT, nargs="*", required=True, metavar="H5", help="score stores, in order")
    add("--names", nargs="*", metavar="NAME", help="what the report calls the members (default: as their stores say)")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the scored pictures")
    add("--system", required=True, help="name of the stacked system, recorded in the store")
    add("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    add("--json", type=OUTPUT, required=True, metavar="JSON", help="report to write")
    add("--label-space", default="voc21", metavar="NAME", help="label space of masks and result (default: voc21)")
    add_gpus_argument(parser)
    add("--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default: 1)")
    add("--fit-manifest", type=INPUT, metavar="CSV", help="other pictures to fit on, instead of folds")
    add("--fit-members", type=INPUT, nargs="*", metavar="H5", help="score stores of those pictures, in order")
    add("--seed", type=SEED, default=0, metavar="N", help="of folds, crops and weights (default: 0)")
    add_options(parser.add_argument_group("the stacker"), Stacking, LEFT_OUT)


def run(args: argparse.Namespace) -> None:
    from segrepro.fusion.members import ensemble_of
    from segrepro.fusion.stacker import Split, stack

    if (args.fit_manifest is None) != (args.fit_members is None):
        raise UserError("--fit-manifest and --fit-members belong together; give both, or neither.")
    other = str(args.fit_manifest) if args.fit_manifest else None
    settings = section_of(args, Stacking, members=list(map(str, args.members)), fit_on=other)
    called = {"names": args.names, "space": args.label_space}
    scored = Split(ensemble_of(args.members, **called), args.manifest)
    fit_on = Split(ensemble_of(args.fit_members, **called), args.fit_manifest) if args.fit_manifest else None

    from segrepro.training.devices import prepare_tensorflow

    prepare_tensorflow(args.threads)
    stack(scored, settings, args.out, args.json, system=args.system, seed=args.seed, fit_on=fit_on)
