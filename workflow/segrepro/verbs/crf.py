r"""Refine a score store by a fully connected CRF (DenseCRF, by pydensecrf).

All labels of a picture take part. The unary is -log(probability) at full size; for a store of labels (a vote),
with the preset report2 or with --gt-prob it is made of hard labels instead, which are taken to be right with that
probability (0.7 for a vote without --gt-prob). The result holds the logarithms of the marginals.

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

from segrepro.options import HARD_PROBABILITY, INPUT, KERNEL_WEIGHT, KERNEL_WIDTH, OUTPUT, POSITIVE, Number

# parameter -> kind, help; the names of `segrepro.fusion.densecrf.Parameters`
PARAMETERS = {
    "iterations": (POSITIVE, "of mean field"),
    "gaussian_sxy": (KERNEL_WIDTH, "width of the smoothness kernel, pixels"),
    "gaussian_compat": (KERNEL_WEIGHT, "weight of the smoothness kernel (0: none)"),
    "bilateral_sxy": (KERNEL_WIDTH, "width of the appearance kernel in position, pixels"),
    "bilateral_srgb": (KERNEL_WIDTH, "width of the appearance kernel in colour, of 255"),
    "bilateral_compat": (KERNEL_WEIGHT, "weight of the appearance kernel (0: none)"),
    "normalisation": (str, "of the kernels: symmetric, before, after or none"),
    "gt_prob": (HARD_PROBABILITY, "take hard labels, right with this probability, above 0.5"),
}


def add_parameter_arguments(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    """Declare an option for each parameter of the CRF; ``nargs="+"`` lets each take several values."""
    group = parser.add_argument_group("parameters", "instead of the preset's")
    for name, (kind, text) in PARAMETERS.items():
        metavar = "NAME" if kind is str else {int: "N", float: "X"}[kind.kind]
        group.add_argument("--" + name.replace("_", "-"), type=kind, nargs=nargs, metavar=metavar, help=text)


def add_drop_below(parser: argparse.ArgumentParser) -> None:
    """Declare the option for labels that are left out; not a parameter of the CRF, but of its computation."""
    parser.add_argument(
        "--drop-below",
        type=Number(float, 0, 1, below=True),
        default=0.0,
        metavar="P",
        help="leave out labels less probable than this all over a picture: faster, not exact (default: keep all)",
    )


def given_parameters(args: argparse.Namespace) -> dict:
    """Return the parameters that the command line gives: name -> value or values."""
    return {name: getattr(args, name) for name in PARAMETERS if getattr(args, name) is not None}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--scores", type=INPUT, required=True, metavar="H5", help="score store to refine")
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="the store's pictures")
    parser.add_argument("--system", required=True, help="name of the refined system, recorded in the store")
    parser.add_argument("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", metavar="NAME", help="see above")
    source.add_argument("--parameters", type=INPUT, metavar="JSON", help="what `segrepro crf-search` found")
    add_parameter_arguments(parser)
    add_drop_below(parser)
    parser.add_argument(
        "--storage-stride", type=POSITIVE, default=1, metavar="PIXELS", help="of the stored map (default: 1, exact)"
    )
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the result (default: voc21)"
    )
    parser.add_argument("--shard", metavar="K/N", help="only the K-th of every N pictures")
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Refine."""
    from segrepro.data.shards import every_nth
    from segrepro.fusion.crf_store import StoreCRF, refine_store
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    crf = StoreCRF(
        args.scores,
        args.label_space,
        _parameters(args),
        args.system,
        drop_below=args.drop_below,
        stride=args.storage_stride,
    )
    examples = read_manifest(args.manifest)
    with ScoreReader(args.scores) as reader:
        reader.mapping(args.label_space)
        check_same_pictures(reader, examples, args.manifest, masks=False)
    if args.shard:
        examples = every_nth(examples, args.shard)
    refine_store(crf, examples, args.out, threads=args.threads)


def _parameters(args: argparse.Namespace):
    from dataclasses import replace

    from segrepro.fusion.crf_search import read_best
    from segrepro.fusion.densecrf import parameters_from

    if args.parameters is None:
        return parameters_from(args.preset, given_parameters(args))
    return replace(read_best(args.parameters), **given_parameters(args))
