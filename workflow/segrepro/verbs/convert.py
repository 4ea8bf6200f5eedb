r"""Convert the archives of a source to a dataset folder: pictures, masks, instance masks and id lists.

Every picture is decoded and every mask checked: sizes, labels, VOC's classes against the XML annotations, SBD's objects
against the class mask. SBD's masks have no void border. COCO's folder has COCO-90 masks (the label is the category id)
and COCO-20 masks (VOC's 20 classes in VOC's order, everything else background); lists/coco20.txt has the pictures with
more than --min-pixels pixels of these. Crowds, and pixels that objects of different labels claim, are void (255). The
folder appears whole or not at all.

  segrepro convert voc2012 --archives downloads/VOCtrainval_11-May-2012.tar --out data/voc2012 --threads 8
  segrepro convert voc2012_test --archives downloads/VOC2012test.tar --out data/voc2012_test --threads 8
  segrepro convert sbd --archives downloads/benchmark.tgz --out data/sbd --threads 8
  segrepro convert coco_train --archives downloads/train2017.zip downloads/annotations_trainval2017.zip \
      --out data/coco2017/train2017 --threads 8
"""

import argparse
from pathlib import Path
from typing import Any

from segrepro.config.data import Coco
from segrepro.data.datasets import FOLDERS
from segrepro.errors import UserError
from segrepro.options import DATASET_FOLDER, INPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:

    add = parser.add_argument
    add("folder", choices=list(FOLDERS), metavar="FOLDER", help=f"one of {', '.join(FOLDERS)}")
    add("--archives", type=INPUT, nargs="+", required=True, metavar="FILE", help="as published; COCO: pictures first")
    add("--out", type=DATASET_FOLDER, required=True, metavar="DIR", help="the dataset folder to write")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes (default: 1)")
    add_options(parser, Coco)


def run(args: argparse.Namespace) -> None:

    wanted = FOLDERS[args.folder].archives
    if len(args.archives) != len(wanted):
        raise UserError(f"--archives: '{args.folder}' is converted from {' and '.join(wanted)}; give {len(wanted)}.")
    summary = _converted(args)
    lists = ", ".join(f"{name} {entry['pictures']:,}" for name, entry in summary["lists"].items())
    print(f"{args.out}: {summary['pictures']:,} pictures ({lists})")
    if "masks_with_unnamed_class" in summary:
        print(
            f"{summary['masks_with_unnamed_class']} of {summary['annotations_compared']:,} masks hold a class that "
            "their annotation does not name"
        )
    if "instances_unlike_mask" in summary:
        print(f"{summary['instances_unlike_mask']} instance masks differ from their class mask")
    if "degenerate_polygons_skipped" in summary:
        print(
            f"{summary['annotations']:,} annotations; {summary['degenerate_polygons_skipped']:,} polygons with less "
            f"than three corners skipped, {summary['png_pictures']:,} pictures are PNGs"
        )


def _converted(args: argparse.Namespace) -> dict[str, Any]:
    if args.folder == "sbd":
        from segrepro.data.sbd import convert_sbd

        return convert_sbd(*args.archives, args.out, threads=args.threads)
    if args.folder in ("voc2012", "voc2012_test"):
        from segrepro.data.voc import convert_voc

        return convert_voc(*args.archives, args.out, threads=args.threads, test=args.folder == "voc2012_test")
    from segrepro.data.coco import convert_coco

    split = Path(FOLDERS[args.folder].path).name
    min_pixels = section_of(args, Coco).min_pixels
    return convert_coco(*args.archives, args.out, split=split, threads=args.threads, min_pixels=min_pixels)
