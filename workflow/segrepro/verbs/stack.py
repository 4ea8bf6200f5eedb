r"""Learn to combine the score stores of several systems into one.

Kinds:
  network  three layers of convolutions on the members' log-probabilities (63 channels for three members of VOC-21)
  shared   the same for each class on the members' log-probabilities of that class, with weights that all classes
           share: for few pictures
  linear   one weight a member and class, and a bias a class: a product of the members whose exponents are learned

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

from segrepro.gpus import add_gpus_argument
from segrepro.options import FACTOR, INPUT, MOST, NOT_NEGATIVE, OUTPUT, POSITIVE, SEED, SHARE, Number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--kind", required=True, help="network, shared or linear")
    parser.add_argument("--members", type=INPUT, nargs="*", required=True, metavar="H5", help="score stores, in order")
    parser.add_argument(
        "--names", nargs="*", metavar="NAME", help="what the report calls the members (default: as their stores say)"
    )
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="the scored pictures")
    parser.add_argument("--system", required=True, help="name of the stacked system, recorded in the store")
    parser.add_argument("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    parser.add_argument("--json", type=OUTPUT, required=True, metavar="JSON", help="report to write")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of masks and result (default: voc21)"
    )
    add_gpus_argument(parser)
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default: 1)")
    pictures = parser.add_argument_group("what it is fitted on")
    pictures.add_argument("--folds", type=Number(int, 2, MOST), metavar="K", help="of the scored pictures (default: 5)")
    pictures.add_argument("--fit-manifest", type=INPUT, metavar="CSV", help="other pictures, instead of folds")
    pictures.add_argument(
        "--fit-members",
        type=INPUT,
        nargs="*",
        metavar="H5",
        help="score stores of those pictures, in order",
    )
    network = parser.add_argument_group("network")
    network.add_argument(
        "--hidden", type=POSITIVE, metavar="N", help="channels of two layers (default: 64; shared: 16)"
    )
    network.add_argument("--kernel", type=POSITIVE, metavar="CELLS", help="side of the kernels, 1 (default) or 3")
    network.add_argument(
        "--residual",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="add the network's answer to the members' mean log-probability (default: yes)",
    )
    fit = parser.add_argument_group("fit")
    fit.add_argument("--steps", type=POSITIVE, default=300, metavar="N", help="updates of each fit (default: 300)")
    fit.add_argument("--batch", type=POSITIVE, default=8, metavar="N", help="crops a step (default: 8)")
    fit.add_argument("--crop", type=POSITIVE, default=16, metavar="CELLS", help="side of a crop (default: 16)")
    fit.add_argument(
        "--learning-rate", type=FACTOR, default=3e-3, metavar="R", help="of Adam, at first (default: 3e-3)"
    )
    fit.add_argument("--weight-decay", type=NOT_NEGATIVE, default=1e-4, metavar="D", help="coupled L2 (default: 1e-4)")
    fit.add_argument(
        "--balance",
        type=SHARE,
        default=0.5,
        metavar="B",
        help="exponent of the loss's class weights, frequency^-B: 0 none, 1 all classes alike (default: 0.5)",
    )
    fit.add_argument("--seed", type=SEED, default=0, metavar="N", help="of folds, crops and weights (default: 0)")
    fit.add_argument(
        "--storage-stride",
        type=POSITIVE,
        default=4,
        metavar="PIXELS",
        help="side of a cell: of what is read and what is stored (default: 4)",
    )


def run(args: argparse.Namespace) -> None:
    """Fit and predict."""
    from segrepro.errors import UserError
    from segrepro.fusion.members import ensemble_of
    from segrepro.fusion.stacker import split_of, stack
    from segrepro.fusion.stacker_settings import DEFAULT_FOLDS, StackerSettings

    if (args.fit_manifest is None) != (args.fit_members is None):
        raise UserError("--fit-manifest and --fit-members belong together; give both, or neither.")
    if args.fit_manifest and args.folds is not None:
        raise UserError("--folds has no meaning beside --fit-manifest; leave it out.")
    settings = StackerSettings(
        args.kind,
        hidden=args.hidden,
        kernel=args.kernel,
        residual=args.residual,
        folds=DEFAULT_FOLDS if args.folds is None else args.folds,
        steps=args.steps,
        batch=args.batch,
        crop=args.crop,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
        balance=args.balance,
        seed=args.seed,
        stride=args.storage_stride,
    )
    space = args.label_space
    scored = split_of(ensemble_of(args.members, names=args.names, space=space), args.manifest)
    fit_on = None
    if args.fit_manifest:
        fit_on = split_of(ensemble_of(args.fit_members, names=args.names, space=space), args.fit_manifest)

    from segrepro.training.experiment import prepare_tensorflow

    prepare_tensorflow(args.threads)
    stack(scored, settings, args.out, args.json, system=args.system, fit_on=fit_on)
