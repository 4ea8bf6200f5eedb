"""Convert the VOC 2012 archive to a dataset folder: pictures, masks, instance masks and id lists.

Every picture is decoded, every mask checked (size, labels 0..20 and 255, classes against the XML annotation).
The folder appears whole or not at all.

Example:
  segrepro convert-voc --archive downloads/VOCtrainval_11-May-2012.tar --out data/voc2012 --threads 8
  segrepro convert-voc --archive downloads/VOC2012test.tar --out data/voc2012_test --threads 8 --test
"""

import argparse

from segrepro.options import DATASET_FOLDER, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--archive", type=INPUT, required=True, metavar="TAR", help="the official archive")
    parser.add_argument("--out", type=DATASET_FOLDER, required=True, metavar="DIR", help="the dataset folder to write")
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--test", action="store_true", help="the test archive: pictures and list, no masks")


def run(args: argparse.Namespace) -> None:
    """Convert the archive and print what came out."""
    from segrepro.data.voc import convert_voc

    summary = convert_voc(args.archive, args.out, threads=args.threads, test=args.test)
    lists = ", ".join(f"{name} {entry['pictures']:,}" for name, entry in summary["lists"].items())
    print(f"{args.out}: {summary['pictures']:,} pictures ({lists})")
    if not args.test:
        print(
            f"{summary['masks_with_unnamed_class']} of {summary['annotations_compared']:,} masks hold a class that "
            f"their annotation does not name; {summary['instances_unlike_mask']} instance masks differ from "
            "their class mask"
        )
