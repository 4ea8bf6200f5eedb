"""Convert the SBD archive to a dataset folder: pictures, masks, instance masks and id lists.

Every picture is decoded, every mask checked (size, labels 0..20, objects' categories against the class mask).
SBD's masks have no void border. The folder appears whole or not at all.

Example:
  segrepro convert-sbd --archive downloads/benchmark.tgz --out data/sbd --threads 8
"""

import argparse

from segrepro.options import DATASET_FOLDER, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--archive", type=INPUT, required=True, metavar="TGZ", help="SBD's benchmark.tgz")
    parser.add_argument("--out", type=DATASET_FOLDER, required=True, metavar="DIR", help="the dataset folder to write")
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Convert the archive and print what came out."""
    from segrepro.data.sbd import convert_sbd

    summary = convert_sbd(args.archive, args.out, threads=args.threads)
    lists = ", ".join(f"{name} {entry['pictures']:,}" for name, entry in summary["lists"].items())
    print(f"{args.out}: {summary['pictures']:,} pictures ({lists})")
    print(f"{summary['instances_unlike_mask']} instance masks differ from their class mask")
