r"""Train one model from its spec and a manifest.

Killed at any moment, the same command goes on from the newest checkpoint and ends with the same weights.

Example:
  segrepro train --spec results/models/deeplabv3_trainaug/spec.yaml --manifest data/sample/manifests/trainaug.csv \
      --model model.keras --history history.csv --made made.json --checkpoints checkpoints --threads 2
"""

import argparse
import sys

from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, MODEL, OUTPUT, POSITIVE, SHARED_FOLDER, Number
from segrepro.training.choices import add_deterministic_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--spec", type=INPUT, required=True, help="resolved spec of the model (YAML)")
    add("--manifest", type=INPUT, required=True, help="what it trains on")
    add("--init", type=INPUT, help="file of the initial weights, if the spec asks for one")
    add("--model", type=MODEL, required=True, help="model file to write (.keras)")
    add("--history", type=OUTPUT, required=True, help="history to write (CSV)")
    add("--made", type=OUTPUT, help="also write what made the model: code, data, packages (JSON)")
    add("--checkpoints", type=SHARED_FOLDER, required=True, help="folder of the checkpoints")
    add(
        "--checkpoint-minutes",
        type=Number(float, 0, above=True),
        default=10.0,
        metavar="MINUTES",
        help="between two checkpoints (default 10)",
    )
    add(
        "--checkpoint-every",
        type=POSITIVE,
        metavar="STEPS",
        help="also a checkpoint every so many steps (default: none)",
    )
    add_deterministic_argument(parser)
    add("--tensorboard", type=SHARED_FOLDER, help="also write TensorBoard event files to this folder")
    add_gpus_argument(parser, several=True)
    add("--threads", type=POSITIVE, default=1, help="CPU cores to use (default 1)")


def run(args: argparse.Namespace) -> None:
    from segrepro.training.choices import require_tensorboard

    if args.tensorboard:
        require_tensorboard()
    from segrepro.config.spec import read_spec_to_train

    spec = read_spec_to_train(args.spec)  # before TensorFlow, which takes seconds
    from segrepro.training.experiment import Run, train
    from segrepro.training.trainer import TrainingStopped

    how = Run(**{field: getattr(args, field) for field in Run.__dataclass_fields__})
    try:
        train(spec, args.manifest, how)
    except TrainingStopped:
        print("stopped by a signal; the same command goes on from the checkpoint", file=sys.stderr)
        sys.exit(143)
