r"""Merge score stores of parts of a split (the shards of a cluster's jobs) into one.

The parts are of one system and have no picture in common. The file is the same however the pictures were spread.
With --manifest, a part that was forgotten is an error. With --by-size the pictures are in the order in which
`segrepro predict` stores whole pictures; else they are in order of their ids, as `crf` and a prediction box by box
store them: so the bytes are those of a run without shards.

  segrepro merge-scores --parts crf.1.h5 crf.2.h5 --manifest data/manifests/voc_val.csv --out crf.h5
"""

import argparse

from segrepro.options import INPUT, OUTPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--parts", type=INPUT, nargs="*", required=True, metavar="H5", help="score stores to merge")
    add("--manifest", type=INPUT, metavar="CSV", help="the pictures that the result must have")
    add("--by-size", action="store_true", help="order of the pictures: by size (default: by id)")
    add("--out", type=OUTPUT, required=True, metavar="H5", help="score store to write")


def run(args: argparse.Namespace) -> None:
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.merging import merge_stores

    expected = {example.id for example in read_manifest(args.manifest)} if args.manifest else None
    merge_stores(args.parts, args.out, expected=expected, by_size=args.by_size)
