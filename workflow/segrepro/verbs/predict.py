"""Predict the pictures of a manifest, whole, into a score store.

Test-time augmentation averages probabilities over scales, mirroring and windows; the papers' setting is
--scales 0.5 0.75 1 1.25 1.5 1.75 --flip --output-stride 8. One scale without --flip and --window stores raw scores
(logits), anything else log-probabilities of the average.

--shard 2/8 does the 2nd of every 8 batches of pictures, for clusters; `segrepro merge-scores --by-size` puts shards
together, to the bytes of a run without them.

Example:
  segrepro predict --model results/models/deeplabv3_trainaug/model.keras \
      --spec results/models/deeplabv3_trainaug/spec.yaml --manifest data/sample/manifests/voc_val.csv \
      --system deeplabv3_trainaug --out results/scores/deeplabv3_trainaug/voc_val.h5 --threads 2
"""

import argparse

from segrepro.config.systems import Prediction
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of
from segrepro.training.choices import add_deterministic_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", type=INPUT, required=True, help="model file (.keras)")
    parser.add_argument("--spec", type=INPUT, required=True, help="the model's spec (YAML)")
    parser.add_argument("--manifest", type=INPUT, required=True, help="the pictures to predict")
    parser.add_argument("--system", required=True, help="name of the system, recorded in the store")
    parser.add_argument("--out", type=OUTPUT, required=True, help="score store to write (.h5)")
    add_gpus_argument(parser)
    add_deterministic_argument(parser)
    parser.add_argument("--threads", type=POSITIVE, default=1, help="CPU cores to use (default 1)")
    parser.add_argument("--shard", metavar="K/N", help="only the K-th of every N batches of pictures")
    add_options(parser.add_argument_group("test-time augmentation"), Prediction)


def run(args: argparse.Namespace) -> None:
    """Predict."""
    from segrepro.config.spec import read_spec_of
    from segrepro.inference.predict import predict
    from segrepro.models.model_files import load_model
    from segrepro.stores.manifests import read_manifest
    from segrepro.training.devices import prepare_tensorflow

    prediction = section_of(args, Prediction)
    spec = read_spec_of(args.model, args.spec)
    prepare_tensorflow(args.threads, spec.protocol, deterministic=args.deterministic)
    predict(
        load_model(args.model),
        read_manifest(args.manifest),
        args.out,
        system=args.system,
        label_space=spec.label_space,
        network=spec.network,
        augmentation=prediction,
        shard=args.shard,
    )
