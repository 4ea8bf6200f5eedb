r"""Draw picture, ground truth and predictions side by side, in VOC colours.

A row a picture, a column a system, titled with the system's name (and a dagger where it leaks, see --leakage); under
each prediction is its mIoU on that picture, in percent, over the classes in the picture's mask. The legend names the
labels that occur.

Without --ids the pictures are chosen by rule: ranked by the mean of the systems' mIoUs on them, the best, the median
and the worst ones, and the most disputed ones, on which the systems' labels differ most (the mean over pairs of
systems); how many of each is told by --best and so on. The rule that chose a picture is written under its ground
truth.

  segrepro figure-grid --manifest data/manifests/voc_val.csv \
      --scores results/scores/a/voc_val.h5 results/scores/b/voc_val.h5 --out results/figures/grid.png
"""

import argparse

from segrepro.options import COUNT, FIGURE, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="pictures and masks")
    parser.add_argument(
        "--scores", type=INPUT, nargs="+", required=True, metavar="H5", help="score store of each system"
    )
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    parser.add_argument("--ids", nargs="+", metavar="ID", help="pictures to draw, in this order")
    for rule, count in {"best": 1, "median": 2, "worst": 1, "disputed": 2}.items():
        text = f"{rule} pictures to choose (default: {count})"
        parser.add_argument(f"--{rule}", type=COUNT, default=count, metavar="N", help=text)
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--split", metavar="NAME", help="of which --leakage tells the shares (default: the manifest's)")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )


def run(args: argparse.Namespace) -> None:
    """Choose the pictures, draw and save."""
    from segrepro.evaluation.leakage import marked_systems
    from segrepro.labels import label_space
    from segrepro.report.grid import draw_grid, load_row
    from segrepro.report.style import save_figure
    from segrepro.stores.manifests import check_listed, read_manifest
    from segrepro.stores.scores import ScoreReader

    space = label_space(args.label_space)
    systems = []
    for path in args.scores:
        with ScoreReader(path) as reader:
            reader.mapping(space.name)
            systems.append(reader.system)
    examples = {example.id: example for example in read_manifest(args.manifest)}
    chosen = dict.fromkeys(args.ids, "") if args.ids else _by_rule(args, list(examples.values()))
    split = args.split or args.manifest.stem
    check_listed(chosen, args.manifest, key=f"--ids (figures.grid.ids.{split} in the config)")
    rows = [load_row(examples[id], args.scores, space, note) for id, note in chosen.items()]
    systems = marked_systems(systems, split, args.leakage)
    save_figure(draw_grid(rows, systems, space), args.out)


def _by_rule(args: argparse.Namespace, examples: list) -> dict[str, str]:
    from segrepro.errors import UserError
    from segrepro.labels import label_space
    from segrepro.report.choice import RULES, OpinionReader, choose, opinions
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    counts = {rule: getattr(args, rule) for rule in RULES}
    for rule, count in counts.items():
        if count < 0:
            raise UserError(f"--{rule} is {count}; give 0 or more.")
    for store in args.scores:
        with ScoreReader(store) as scores:
            check_same_pictures(scores, examples, args.manifest)
    reader = OpinionReader(tuple(args.scores), args.label_space, len(label_space(args.label_space)))
    chosen = choose(opinions(reader, examples, threads=args.threads), counts)
    if not chosen:
        raise UserError(f"{args.manifest}: no picture to draw; ask for one at least, and check that not all is void.")
    return chosen
