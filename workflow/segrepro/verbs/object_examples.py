r"""Write DeconvNet's stage-1 training examples: a row an object, its box enlarged, only that object labelled.

  segrepro object-examples --manifest data/manifests/trainaug.csv --enlarge 1.2 \
      --out data/manifests/stage1.csv --counts results/tables/stage1_examples.csv --threads 4

The manifest is one of VOC or SBD (whose folders hold instance masks). Each object gets the tight box about its pixels,
scaled about its centre; the box may leave the picture. Its class is the most frequent label under it. Classes are
balanced by repetition: the examples of a class come round(largest class / class) times in an epoch, at least once
(VOC's persons are by far the largest class). Objects without a pixel, of background or void only, or smaller than
--min-area are left out; one line says how many.

The table of counts has a row a class and a total: objects, repeats, examples in an epoch.
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE, SCALE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segrepro.data.object_examples import ENLARGE, MIN_AREA

    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="whole pictures of VOC or SBD")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="manifest to write")
    add("--counts", type=OUTPUT, required=True, metavar="CSV", help="table to write: examples a class")
    add("--enlarge", type=SCALE, default=ENLARGE, metavar="X", help=f"scale of the boxes' sides (default {ENLARGE})")
    add(
        "--min-area",
        type=POSITIVE,
        default=MIN_AREA,
        metavar="N",
        help=f"pixels of the smallest object that is taken (default {MIN_AREA})",
    )
    add("--balance", action=argparse.BooleanOptionalAction, default=True, help="repeat rare classes (default)")
    add("--max-repeats", type=POSITIVE, metavar="N", help="no class comes more often than this (default: no limit)")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default 1)")


def run(args: argparse.Namespace) -> None:
    """Write the manifest and the table."""
    from segrepro.data.object_examples import left_out_sentence, object_examples, write_balanced
    from segrepro.stores.manifests import read_manifest

    rows, labels, left_out = object_examples(
        read_manifest(args.manifest), factor=args.enlarge, min_area=args.min_area, threads=args.threads
    )
    if left_out:
        print(left_out_sentence(left_out, len(rows)))
    limit = args.max_repeats if args.balance else 1
    write_balanced(args.out, args.counts, rows, labels, unit="objects", max_repeats=limit)
