r"""Train one model from its spec and a manifest.

Killed at any moment, the same command goes on from the newest checkpoint and ends with the same weights.

Example:
  segrepro train --spec results/models/deeplabv3_trainaug/spec.yaml --manifest data/sample/manifests/trainaug.csv \
      --model model.keras --history history.csv --made made.json --checkpoints checkpoints --threads 2
"""

import argparse
import sys

from segrepro.config.experiment import Runtime
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, MODEL, OUTPUT, POSITIVE, SHARED_FOLDER, add_options

# Of the section; --gpus and --tensorboard have other meanings here.
TAKEN = {"checkpoint_minutes", "checkpoint_every", "deterministic"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--spec", type=INPUT, required=True, help="resolved spec of the model (YAML)")
    add("--manifest", type=INPUT, required=True, help="what it trains on")
    add("--init", type=INPUT, help="file of the initial weights, if the spec asks for one")
    add("--model", type=MODEL, required=True, help="model file to write (.keras)")
    add("--history", type=OUTPUT, required=True, help="history to write (CSV)")
    add("--made", type=OUTPUT, help="also write what made the model: code, data, packages (JSON)")
    add("--checkpoints", type=SHARED_FOLDER, required=True, help="folder of the checkpoints")
    add_options(parser, Runtime, leave_out=Runtime.model_fields.keys() - TAKEN)
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
