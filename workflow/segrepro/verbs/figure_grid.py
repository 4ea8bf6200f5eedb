r"""Draw picture, ground truth and predictions side by side, in VOC colours.

A row a picture, a column a system, titled with the system's name (and a dagger where it leaks, see --leakage); under
each prediction is its mIoU on that picture, in percent, over the classes in the picture's mask. The legend names the
labels that occur.

Without --ids the pictures are chosen by rule: all pictures are ranked by the first system's mIoU, and the best,
the worst and equal steps of rank between them are drawn (--rows 5: best, upper quartile, median, lower
quartile, worst). --confusions, which `segrepro evaluate` wrote for the first system, saves scoring it again for
that.

  segrepro figure-grid --manifest data/manifests/voc_val.csv \
      --scores results/scores/a/voc_val.h5 results/scores/b/voc_val.h5 --out results/figures/grid.png
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--manifest", type=Path, required=True, metavar="CSV", help="pictures and masks")
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, metavar="H5", help="score store of each system"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="PNG", help="picture to write")
    parser.add_argument("--ids", nargs="+", metavar="ID", help="pictures to draw, in this order")
    parser.add_argument("--rows", type=int, default=6, metavar="N", help="pictures to choose (default: 6)")
    parser.add_argument("--confusions", type=Path, metavar="NPZ", help="confusions of the first system")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="processes to use (default: 1)")
    parser.add_argument("--leakage", type=Path, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument(
        "--split", metavar="NAME", help="which split --leakage is asked about (default: the manifest's)"
    )
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )


def run(args: argparse.Namespace) -> None:
    """Choose the pictures, draw and save."""
    from segrepro.data.manifests import read_manifest
    from segrepro.errors import UserError
    from segrepro.evaluation.leakage import leaking_share, marked, read_marks
    from segrepro.inference.scores import ScoreReader
    from segrepro.labels import label_space
    from segrepro.report.grid import draw_grid, load_row
    from segrepro.report.style import save_png

    space = label_space(args.label_space)
    systems = []
    for path in args.scores:
        with ScoreReader(path) as reader:
            reader.mapping(space.name)
            systems.append(reader.system)
    examples = {example.id: example for example in read_manifest(args.manifest)}
    ids = list(dict.fromkeys(args.ids)) if args.ids else _ids_by_rule(args, list(examples.values()))
    unknown = [id for id in ids if id not in examples]
    if unknown:
        raise UserError(f"{args.manifest}: no picture '{unknown[0]}'; give ids of its first column.")
    rows = [load_row(examples[id], args.scores, space) for id in ids]
    if args.leakage:
        marks, split = read_marks(args.leakage), args.split or args.manifest.stem
        systems = [marked(name, leaking_share(marks, name, split)) for name in systems]
    save_png(draw_grid(rows, systems, space), args.out)


def _ids_by_rule(args: argparse.Namespace, examples: list) -> list[str]:
    from segrepro.errors import UserError
    from segrepro.evaluation.confusion import load_confusions
    from segrepro.evaluation.metrics import picture_mious
    from segrepro.evaluation.pictures import PictureScorer, check_same_pictures, picture_confusions
    from segrepro.inference.scores import ScoreReader
    from segrepro.labels import label_space
    from segrepro.report.grid import choose_ids

    if args.rows < 1:
        raise UserError(f"--rows is {args.rows}; give at least 1.")
    ids = [example.id for example in examples]
    if args.confusions:
        scored, confusions = load_confusions(args.confusions)
        if sorted(scored) != sorted(ids):
            raise UserError(f"{args.confusions}: not of the pictures of {args.manifest}; evaluate again.")
        ids = scored
    else:
        store = args.scores[0]
        with ScoreReader(store) as reader:
            check_same_pictures(reader, examples, args.manifest)
        scorer = PictureScorer(store, args.label_space, len(label_space(args.label_space)))
        confusions = picture_confusions(scorer, examples, threads=args.threads, label=args.scores[0].name)
    chosen = choose_ids(ids, picture_mious(confusions), args.rows)
    if not chosen:
        raise UserError(f"{args.manifest}: every mask is void; check the data set's labels.")
    return chosen
