r"""Draw a contact sheet of training examples with boxes, each as the network sees it.

  segrepro figure-examples --manifest data/manifests/stage1.csv --title 'stage 1' --out results/figures/stage1.png

Every tile is the box cut out of its picture and drawn to a square, with the labels it teaches in VOC colours: of one
object in DeconvNet's stage 1, of all in stage 2. Void and padding are hatched. The examples are chosen by lot (--seed),
as many of one class as of another where there are enough, and stand in the order of the classes.
"""

import argparse

from segrepro.options import FIGURE, INPUT, POSITIVE, SEED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="examples with boxes")
    add("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    add("--title", metavar="TEXT", help="what stands above the tiles (default: the manifest's name)")
    add("--rows", type=POSITIVE, default=6, metavar="N", help="rows of tiles (default 6)")
    add("--columns", type=POSITIVE, default=8, metavar="N", help="tiles in a row (default 8)")
    add("--size", type=POSITIVE, default=250, metavar="PIXELS", help="side that boxes are drawn to (default 250)")
    add("--seed", type=SEED, default=0, metavar="N", help="another seed chooses others (default 0)")
    add("--label-space", default="voc21", metavar="NAME", help="label space of the masks (default voc21)")


def run(args: argparse.Namespace) -> None:
    """Choose, draw and save."""
    from segrepro.labels import label_space
    from segrepro.report.contact_sheet import by_lot, choose_examples, draw_contact_sheet, load_tile
    from segrepro.report.style import save_figure
    from segrepro.stores.manifests import read_some

    space = label_space(args.label_space)
    drawn, count = read_some(args.manifest, lambda rows: by_lot(rows, seed=args.seed))
    chosen = choose_examples(drawn, space, args.rows * args.columns)
    tiles = [load_tile(example, space, args.size) for example in chosen]
    title = f"{args.title or args.manifest.stem}: {len(tiles):,} of {count:,} examples"
    save_figure(draw_contact_sheet(tiles, space, columns=args.columns, title=title), args.out)
