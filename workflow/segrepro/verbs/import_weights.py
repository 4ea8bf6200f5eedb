r"""Build a spec's network and give it published weights: a model file that stands in for a trained one.

Formats: tf1_deeplabv3_resnet_v2 (the DeepLabv3 that report 2 trained), tf1_deeplabv3plus_xception and
tf1_deeplabv3_mobilenet_v2 (the DeepLab release), segrepro (a model of this project); and, for the backbone only,
tf1_slim_imagenet and keras_applications.
TF1 checkpoints are found by prefix, in a folder or in the archive (.tar.gz) that they are published in.

Example:
  segrepro import-weights --spec results/full/models/released/spec.yaml --format tf1_deeplabv3plus_xception \
      --weights data/downloads/deeplabv3_pascal_train_aug.tar.gz --out results/full/models/released/model.keras
"""

import argparse

from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, MODEL, OUTPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--spec", type=INPUT, required=True, help="resolved spec of the model (YAML)")
    add("--weights", type=INPUT, required=True, help="file, checkpoint prefix, folder or archive")
    add("--format", required=True, help="who wrote it, see above")
    add(
        "--averages",
        default="plain",
        help="values of a TF1 checkpoint: plain, or their moving averages: ema (default plain)",
    )
    add("--out", type=MODEL, required=True, help="model file to write (.keras)")
    add("--made", type=OUTPUT, help="also write what made the model: code, file, packages (JSON)")
    add_gpus_argument(parser)
    add("--threads", type=POSITIVE, default=1, help="CPU cores to use (default 1)")


def run(args: argparse.Namespace) -> None:
    from segrepro.config.spec import read_spec
    from segrepro.models.build import build_network
    from segrepro.models.importing import check_network, load_weights
    from segrepro.models.model_files import save_model
    from segrepro.provenance.made import training_code, write_made
    from segrepro.training.devices import prepare_tensorflow

    spec = read_spec(args.spec)
    check_network(spec.network, args.format)
    prepare_tensorflow(args.threads, spec.protocol)
    model = build_network(spec.network, spec.classes, seed=spec.seed)  # what the file does not hold is from the seed
    load_weights(model, spec.network, args.weights, file_format=args.format, averages=args.averages)
    if args.made:
        write_made(args.made, spec, argv=args.argv, codes=[training_code()], initial_weights=args.weights)
    save_model(model, args.out, spec)
    print(f"{args.out}: {model.name}, {len(model.weights)} variables, weights of {args.weights}")
