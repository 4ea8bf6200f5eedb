r"""Predict the pictures of a manifest, whole or box by box, into a score store.

Test-time augmentation averages probabilities over scales, mirroring and windows; the papers' setting is
--scales 0.5 0.75 1 1.25 1.5 1.75 --flip --output-stride 8. One scale without --flip and --window stores raw scores
(logits), anything else log-probabilities of the average.

A DeconvNet predicts box by box: the first --count of a picture's --proposals whose smaller side is at least --min-side
are resized to the network's input, predicted, pasted back and aggregated: the pixel-wise maximum (or mean) of
probabilities, or, as the released code does, the maximum of raw scores, from 0 (--aggregate max --of scores). --whole
predicts each picture as one box, for comparison, as is done with a picture that has no proposal of sufficient size.
--storage-stride is an option of both ways.

--shard 2/8 does the 2nd of every 8 batches of pictures, or with boxes the second eighth of the pictures, for clusters;
`segrepro merge-scores` puts shards together (--by-size those of whole pictures), to the bytes of a run without them.

Example:
  segrepro predict --model results/models/deeplabv3_trainaug/model.keras \
      --spec results/models/deeplabv3_trainaug/spec.yaml --manifest data/sample/manifests/voc_val.csv \
      --system deeplabv3_trainaug --out results/scores/deeplabv3_trainaug/voc_val.h5 --threads 2
  segrepro predict --model results/models/deconvnet_stage2/model.keras \
      --spec results/models/deconvnet_stage2/spec.yaml --manifest data/manifests/voc_val.csv \
      --proposals data/proposals/edge_boxes/voc_val.h5 --system deconvnet_stage2 --out deconvnet.h5 --threads 2
"""

import argparse
import sys
from contextlib import nullcontext

from segrepro.config.experiment import Runtime
from segrepro.config.systems import Prediction, ProposalWise
from segrepro.errors import UserError
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", type=INPUT, required=True, help="model file (.keras)")
    add("--spec", type=INPUT, required=True, help="the model's spec (YAML)")
    add("--manifest", type=INPUT, required=True, help="the pictures to predict")
    add("--system", required=True, help="name of the system, recorded in the store")
    add("--out", type=OUTPUT, required=True, help="score store to write (.h5)")
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument("--proposals", type=INPUT, metavar="H5", help="box by box: proposals, by `segrepro proposals`")
    boxes.add_argument("--whole", action="store_true", help="box by box, with the whole picture as the one box")
    add_gpus_argument(parser)
    add_options(parser, Runtime, leave_out=Runtime.model_fields.keys() - {"deterministic"})
    add("--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default 1)")
    add("--shard", metavar="K/N", help="only the K-th of N parts of the pictures, see above")
    add_options(parser.add_argument_group("test-time augmentation, of whole pictures"), Prediction)
    add_options(parser.add_argument_group("box by box"), ProposalWise, leave_out=["proposals", "storage_stride"])


def run(args: argparse.Namespace) -> None:
    from segrepro.config.spec import read_spec_of
    from segrepro.data.subsets import block
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.proposals import ProposalReader

    augmentation, aggregation, box_by_box = _settings(args)
    spec = read_spec_of(args.model, args.spec)

    # TensorFlow costs seconds: options and spec are checked before
    from segrepro.inference.predict import predict
    from segrepro.inference.proposalwise import input_size_of, predict_proposals
    from segrepro.models.model_files import load_model
    from segrepro.training.devices import prepare_tensorflow

    how = {"system": args.system, "label_space": spec.label_space, "shard": args.shard}
    input_size = input_size_of(spec.network, name=str(args.spec)) if box_by_box else None
    examples = read_manifest(args.manifest)
    with ProposalReader(args.proposals) if args.proposals else nullcontext() as proposals:
        prepare_tensorflow(args.threads, spec.protocol, deterministic=args.deterministic, one_size=box_by_box)
        model = load_model(args.model)
        if not box_by_box:
            predict(model, examples, args.out, network=spec.network, augmentation=augmentation, **how)
            return
        how |= {"proposals": proposals, "aggregation": aggregation, "input_size": input_size}
        predicted_whole = predict_proposals(model, examples, args.out, **how)
    if predicted_whole:
        count = len(block(examples, args.shard) if args.shard else examples)
        print(
            f"{len(predicted_whole)} of {count} pictures have no proposal of at least {args.min_side} x "
            f"{args.min_side} pixels and were predicted whole, the first is '{predicted_whole[0]}'",
            file=sys.stderr,
        )


def _settings(args: argparse.Namespace) -> tuple[Prediction, ProposalWise, bool]:
    """Return the settings of both ways, and whether boxes are predicted; those of the other way must be untouched."""
    augmentation, aggregation = section_of(args, Prediction), section_of(args, ProposalWise, proposals=None)
    box_by_box = args.whole or args.proposals is not None
    shared = {} if args.storage_stride is None else {"storage_stride": args.storage_stride}
    if box_by_box and augmentation != Prediction(**shared):
        raise UserError("--proposals and --whole take no test-time augmentation; leave its options out.")
    if not box_by_box and aggregation != ProposalWise(**shared):
        raise UserError("The options of boxes need --proposals or --whole; give one of the two, or leave them out.")
    return augmentation, aggregation, box_by_box
