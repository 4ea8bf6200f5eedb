r"""Refine a score store by a fully connected CRF (DenseCRF, by pydensecrf).

All labels of a picture take part. The unary is -log(probability) at full size; for a store of labels (a vote),
with the preset report2 or with --gt-prob it is made of hard labels instead, which are taken to be right with that
probability (0.7 for a vote without --gt-prob). The result holds the logarithms of the marginals, or with --store labels
the labels alone.

Presets (options change single parameters; --parameters reads what `segrepro crf-search` found):
  preset               gaussian sxy/compat  bilateral sxy/srgb/compat  iterations
  deconvnet            3/3                  20/3/5                     10, no normalisation
  deeplab_vgg          3/3                  49/5/4                     10
  deeplabv2_resnet101  1/3                  67/3/4                     10
  pydensecrf_example   3/3                  80/13/10                   5
  report2              3/3                  80/13/10                   1, hard labels, gt_prob 0.7

A CRF can make a strong system worse: evaluate both. --shard 2/8 does the 2nd of every 8 pictures, for clusters;
`segrepro merge-scores` puts shards together, to the bytes of a run without them.

  segrepro crf --scores results/scores/fcn8s/voc_val.h5 --manifest data/manifests/voc_val.csv \
      --preset pydensecrf_example --system fcn8s_crf --out results/scores/fcn8s_crf/voc_val.h5 --threads 4
"""

import argparse
from dataclasses import replace
from typing import get_args

from segrepro.config.crf import Crf, GivenParameters
from segrepro.options import INPUT, OUTPUT, POSITIVE, Choice, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scores", type=INPUT, required=True, metavar="H5", help="score store to refine")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the store's pictures")
    add("--system", required=True, help="name of the refined system, recorded in the store")
    add("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", type=Choice(get_args(Crf.model_fields["preset"].annotation)), help="see above")
    source.add_argument("--parameters", type=INPUT, metavar="JSON", help="what `segrepro crf-search` found")
    add_options(parser, Crf, leave_out=("members", "preset", "search"))
    add("--label-space", default="voc21", metavar="NAME", help="label space of the result (default: voc21)")
    add("--shard", metavar="K/N", help="only the K-th of every N pictures")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.subsets import every_nth
    from segrepro.fusion.crf_search import read_best
    from segrepro.fusion.crf_store import StoreCRF, refine_store
    from segrepro.fusion.densecrf import PRESETS
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    start = read_best(args.parameters) if args.parameters else PRESETS[args.preset]
    parameters = replace(start, **section_of(args, GivenParameters).given)
    how = {"drop_below": args.drop_below, "stride": args.storage_stride, "labels": args.store == "labels"}
    crf = StoreCRF(args.scores, args.label_space, parameters, args.system, **how)
    examples = read_manifest(args.manifest)
    with ScoreReader(args.scores) as reader:
        reader.mapping(args.label_space)
        check_same_pictures(reader, examples, args.manifest, masks=False)
    if args.shard:
        examples = every_nth(examples, args.shard)
    refine_store(crf, examples, args.out, threads=args.threads)
