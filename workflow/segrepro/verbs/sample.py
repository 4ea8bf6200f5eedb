"""Generate the sample archives: VOC 2012, SBD and COCO 2017 in small, in the official layouts.

The pictures are drawn, not downloaded: 20 VOC classes with their own silhouettes and textures, 1 to 4 objects per
picture, occlusion, clutter. The same seed gives the same bytes, whatever the number of processes.

Example:
    segrepro sample --out data/sample/archives --seed 2012 --preview sheet.png
"""

import argparse

from segrepro.config.data import SampleData
from segrepro.options import OUTPUT, POSITIVE, SHARED_FOLDER, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=SHARED_FOLDER, required=True, help="folder to write the archives and SHA256SUMS to")
    add_options(parser, SampleData)
    add("--threads", type=POSITIVE, default=1, help="processes that draw (default: 1)")
    add("--preview", type=OUTPUT, help="also write a contact sheet (PNG) here")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.sample.archives import draw_sample, refuse_other_archives, write_archives

    refuse_other_archives(args.out)
    drawn = draw_sample(section_of(args, SampleData), args.threads)
    write_archives(args.out, drawn)
    if args.preview:
        from segrepro.data.sample.preview import write_preview

        write_preview(args.preview, drawn)
    print(f"{sum(len(scenes) for scenes in drawn.values())} pictures drawn into {args.out}")
