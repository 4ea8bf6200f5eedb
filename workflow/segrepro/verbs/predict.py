"""Predict the pictures of a manifest, whole, into a score store.

Example:
  segrepro predict --model results/models/deeplabv3_trainaug/model.keras \
      --spec results/models/deeplabv3_trainaug/spec.yaml --manifest data/sample/manifests/voc_val.csv \
      --system deeplabv3_trainaug --out results/scores/deeplabv3_trainaug/voc_val.h5 --threads 2
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", type=Path, required=True, help="model file (.keras)")
    parser.add_argument("--spec", type=Path, required=True, help="the model's spec (YAML)")
    parser.add_argument("--manifest", type=Path, required=True, help="the pictures to predict")
    parser.add_argument("--system", required=True, help="name of the system, recorded in the store")
    parser.add_argument("--out", type=Path, required=True, help="score store to write (.h5)")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores to use (default 1)")


def run(args: argparse.Namespace) -> None:
    """Predict."""
    from segrepro.data.manifests import read_manifest
    from segrepro.inference.predict import predict
    from segrepro.training.experiment import prepare_tensorflow, read_spec
    from segrepro.training.model_files import load_model

    spec = read_spec(args.spec)
    prepare_tensorflow(args.threads, spec["protocol"]["precision"])
    predict(
        load_model(args.model),
        read_manifest(args.manifest),
        args.out,
        system=args.system,
        label_space=spec["label_space"],
        resize=spec["network"]["resize"],
    )
