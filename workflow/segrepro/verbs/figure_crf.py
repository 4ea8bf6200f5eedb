r"""Draw what a CRF changes: the gain in IoU a class, and pictures before and after.

The title says the measured change, better or worse, with a dagger behind systems that leak (see --leakage). The
pictures are chosen by their change in mIoU: the largest gains, the median and the largest losses (--rows 5: two, one
and two). The confusions that `segrepro evaluate` wrote
for both systems save scoring them again.

  segrepro figure-crf --manifest data/manifests/voc_val.csv \
      --before results/scores/fcn8s/voc_val.h5 --after results/scores/fcn8s_crf/voc_val.h5 \
      --out results/figures/crf/fcn8s_crf.png
"""

import argparse
from pathlib import Path

from segrepro.options import FIGURE, INPUT, POSITIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="pictures and masks")
    parser.add_argument("--before", type=INPUT, required=True, metavar="H5", help="score store without the CRF")
    parser.add_argument("--after", type=INPUT, required=True, metavar="H5", help="score store with it")
    parser.add_argument("--confusions", type=INPUT, nargs=2, metavar="NPZ", help="confusions before and after")
    parser.add_argument("--leakage", type=INPUT, metavar="JSON", help="shares of leaked pictures (segrepro audit)")
    parser.add_argument("--split", metavar="NAME", help="of the manifest (default: its file's name)")
    parser.add_argument("--out", type=FIGURE, nargs="+", required=True, metavar="FILE", help="PNG, PDF or SVG to write")
    parser.add_argument("--rows", type=POSITIVE, default=5, metavar="N", help="pictures to choose (default: 5)")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")


def run(args: argparse.Namespace) -> None:
    """Choose the pictures, draw and save."""
    from segrepro.errors import UserError
    from segrepro.evaluation.leakage import marked_systems
    from segrepro.labels import label_space
    from segrepro.report.crf_figure import Change, draw_change
    from segrepro.report.grid import load_row
    from segrepro.report.style import save_figure
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    if args.rows < 1:
        raise UserError(f"--rows is {args.rows}; give at least 1.")
    space, stores = label_space(args.label_space), [args.before, args.after]
    examples = {example.id: example for example in read_manifest(args.manifest)}
    systems = []
    for store in stores:
        with ScoreReader(store) as reader:
            reader.mapping(space.name)
            check_same_pictures(reader, list(examples.values()), args.manifest)
            systems.append(reader.system)
    confusions = [_confusions(args, number, store, list(examples.values())) for number, store in enumerate(stores)]
    if not confusions[0].any():
        raise UserError(f"{args.manifest}: every mask is void; check the data set's labels.")
    change = Change(list(examples), *confusions)
    rows = [(load_row(examples[id], stores, space), text) for id, text in change.chosen(args.rows)]
    split = args.split or args.manifest.stem
    before, after = marked_systems(systems, split, args.leakage)
    save_figure(draw_change(change, rows, space, before=before, after=after, split=split), args.out)


def _confusions(args: argparse.Namespace, number: int, store: Path, examples: list):
    """Return the confusions of a store's pictures, in the order of the examples."""
    from segrepro.evaluation.confusion import confusions_of
    from segrepro.evaluation.pictures import PictureScorer, picture_confusions
    from segrepro.labels import label_space

    space = label_space(args.label_space)
    if args.confusions:
        return confusions_of(args.confusions[number], [example.id for example in examples], space)
    scorer = PictureScorer(store, space.name, len(space))
    return picture_confusions(scorer, examples, threads=args.threads, label=store.name)
