"""Predict the pictures of a manifest box by box, as DeconvNet does, into a score store.

The first --count proposals of a picture whose smaller side is at least --min-side are resized to the network's
input, predicted, pasted back and aggregated: the pixel-wise maximum (or mean) of probabilities, or, as the released
code does, the maximum of raw scores, from 0 (--aggregate max --of scores). --whole predicts each picture as one box,
for comparison; so is a picture predicted that has no proposal of sufficient size.

--shard 2/8 does the second eighth of the pictures, for clusters; `segrepro merge-scores` puts shards together, to the
bytes of a run without them.

Example:
  segrepro predict-proposals --model results/models/deconvnet_stage2/model.keras \
      --spec results/models/deconvnet_stage2/spec.yaml --manifest data/manifests/voc_val.csv \
      --proposals data/proposals/voc_val.h5 --system deconvnet_stage2 \
      --out results/scores/deconvnet_stage2/voc_val.h5 --threads 2
"""

import argparse
import sys
from contextlib import nullcontext

from segrepro.config.systems import ProposalWise
from segrepro.gpus import add_gpus_argument
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of
from segrepro.training.choices import add_deterministic_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--model", type=INPUT, required=True, help="model file (.keras)")
    parser.add_argument("--spec", type=INPUT, required=True, help="the model's spec (YAML)")
    parser.add_argument("--manifest", type=INPUT, required=True, help="the pictures to predict")
    boxes = parser.add_mutually_exclusive_group(required=True)
    boxes.add_argument("--proposals", type=INPUT, metavar="H5", help="proposals file, by `segrepro proposals`")
    boxes.add_argument("--whole", action="store_true", help="predict each picture as one box")
    parser.add_argument("--system", required=True, help="name of the system, recorded in the store")
    parser.add_argument("--out", type=OUTPUT, required=True, help="score store to write (.h5)")
    add_options(parser, ProposalWise, leave_out=["proposals"])
    parser.add_argument("--shard", metavar="K/N", help="only the K-th of N parts of the pictures")
    add_gpus_argument(parser)
    add_deterministic_argument(parser)
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="CPU cores to use (default 1)")


def run(args: argparse.Namespace) -> None:
    """Predict."""
    from segrepro.config.spec import read_spec_of
    from segrepro.data.shards import block
    from segrepro.inference.proposalwise import input_size_of, predict_proposals
    from segrepro.models.model_files import load_model
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.proposals import ProposalReader
    from segrepro.training.devices import prepare_tensorflow

    settings = section_of(args, ProposalWise, proposals=None)  # a file here
    spec = read_spec_of(args.model, args.spec)
    input_size = input_size_of(spec.network, name=str(args.spec))
    examples = read_manifest(args.manifest)
    with nullcontext() if args.whole else ProposalReader(args.proposals) as proposals:
        prepare_tensorflow(args.threads, spec.protocol, deterministic=args.deterministic, one_size=True)
        predicted_whole = predict_proposals(
            load_model(args.model),
            examples,
            args.out,
            proposals=proposals,
            aggregation=settings,
            input_size=input_size,
            system=args.system,
            label_space=spec.label_space,
            shard=args.shard,
        )
    if predicted_whole:
        count = len(block(examples, args.shard) if args.shard else examples)
        print(
            f"{len(predicted_whole)} of {count} pictures have no proposal of at least {args.min_side} x "
            f"{args.min_side} pixels and were predicted whole, the first is '{predicted_whole[0]}'",
            file=sys.stderr,
        )
