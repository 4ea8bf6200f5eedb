"""Write a manifest of some of another one's pictures: so many, at equal steps of the sorted list.

`segrepro crf-search --pictures N` takes the same ones.

Example:
  segrepro subset --manifest data/manifests/voc_train.csv --pictures 100 --out data/manifests/voc_train_100.csv
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the pictures to choose from")
    add("--pictures", type=POSITIVE, required=True, metavar="N", help="how many (all, if there are fewer)")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="manifest to write")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.subsets import spread
    from segrepro.stores.manifests import read_manifest, write_manifest

    write_manifest(args.out, spread(read_manifest(args.manifest), args.pictures))
