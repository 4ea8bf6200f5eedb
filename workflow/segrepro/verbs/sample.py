"""Generate the sample archives: VOC 2012, SBD and COCO 2017 in small, in the official layouts.

The pictures are drawn, not downloaded: 20 VOC classes with their own silhouettes and textures, 1 to 4 objects a
picture, occlusion, clutter. The same seed gives the same bytes, whatever the number of processes.

Example:
    segrepro sample --out data/sample/archives --seed 2012 --preview sheet.png
"""

import argparse

from segrepro.options import OUTPUT, POSITIVE, SEED, SHARED_FOLDER

COUNTS = {
    "voc_train": (80, "pictures of VOC 2012 train"),
    "voc_val": (60, "pictures of VOC 2012 val"),
    "voc_test": (12, "pictures of VOC 2012 test (no masks)"),
    "sbd_extra": (160, "pictures that only SBD annotates"),
    "coco_train": (120, "pictures of COCO train2017"),
    "coco_val": (24, "pictures of COCO val2017"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "--out", type=SHARED_FOLDER, required=True, help="folder to write the archives and SHA256SUMS to"
    )
    parser.add_argument(
        "--seed", type=SEED, default=2012, help="another seed draws other pictures (default %(default)s)"
    )
    for name, (number, text) in COUNTS.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=POSITIVE, default=number, metavar="N", help=f"{text} (default {number})")
    parser.add_argument("--threads", type=POSITIVE, default=1, help="processes that draw (default %(default)s)")
    parser.add_argument("--preview", type=OUTPUT, help="also write a contact sheet (PNG) here")


def run(args: argparse.Namespace) -> None:
    """Draw the sample, write its archives and, where asked, its contact sheet."""
    from segrepro.data.sample.archives import Counts, draw_sample, refuse_other_archives, write_archives

    refuse_other_archives(args.out)
    drawn = draw_sample(Counts(**{name: getattr(args, name) for name in COUNTS}), args.seed, args.threads)
    write_archives(args.out, drawn)
    if args.preview:
        from segrepro.data.sample.preview import write_preview

        write_preview(args.preview, drawn)
    print(f"{sum(len(scenes) for scenes in drawn.values())} pictures drawn into {args.out}")
