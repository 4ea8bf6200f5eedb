r"""Convert one split of COCO 2017 to a dataset folder with COCO-90 and COCO-20 masks.

COCO-90: the label is the category id. COCO-20: VOC's 20 classes in VOC's order, everything else background;
lists/coco20.txt has the pictures with more than --min-pixels labelled pixels. Crowds, and pixels that objects
of different labels claim, are void (255). The folder appears whole or not at all.

Example:
  segrepro convert-coco --pictures downloads/train2017.zip --split train2017 \
      --annotations downloads/annotations_trainval2017.zip --out data/coco2017/train2017 --threads 8
"""

import argparse

from segrepro.options import COUNT, DATASET_FOLDER, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("--pictures", type=INPUT, required=True, metavar="ZIP", help="train2017.zip or val2017.zip")
    parser.add_argument("--annotations", type=INPUT, required=True, metavar="ZIP", help="annotations_trainval2017.zip")
    parser.add_argument("--split", required=True, choices=("train2017", "val2017"))
    parser.add_argument("--out", type=DATASET_FOLDER, required=True, metavar="DIR", help="the dataset folder to write")
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument(
        "--min-pixels",
        type=COUNT,
        default=1000,
        metavar="N",
        help="pixels of VOC's classes that a picture of the COCO-20 list has more than (default: 1000)",
    )


def run(args: argparse.Namespace) -> None:
    """Convert the split and print what came out."""
    from segrepro.data.coco import convert_coco

    summary = convert_coco(
        args.pictures,
        args.annotations,
        args.out,
        split=args.split,
        threads=args.threads,
        min_pixels=args.min_pixels,
    )
    lists = ", ".join(f"{name} {entry['pictures']:,}" for name, entry in summary["lists"].items())
    print(
        f"{args.out}: {summary['pictures']:,} pictures ({lists}), {summary['annotations']:,} annotations; "
        f"{summary['degenerate_polygons_skipped']:,} polygons with less than three corners skipped, "
        f"{summary['png_pictures']:,} pictures are PNGs"
    )
