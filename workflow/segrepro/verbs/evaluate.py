r"""Score a score store against the masks of a manifest.

Writes the metrics (JSON, fractions in [0, 1]) and one confusion matrix per picture (.npz with `ids` and
`confusions`, rows the truth), from which any other metric, interval or choice of pictures can be computed
without predicting again. Void (255) is never scored; the classes averaged are those that occur in the ground
truth (`classes` says how many; 21 on the full VOC val). Predictions in another label space than the masks' are
mapped after the argmax.

With --fine-grained it also measures near boundaries and by the size of objects: boundary IoU, mIoU in bands around the
truth's boundaries (trimaps), IoU of small, medium and large objects. They stand in the JSON too, and their counts per
picture in the file given.

The metrics carry their provenance: what the options of that name tell, code (this one, and by the store's word the one
that predicted), packages, hardware and this command (without --threads, which changes no result).

  segrepro evaluate --scores results/scores/fcn/voc_val.h5 --manifest data/manifests/voc_val.csv \
      --json results/metrics/fcn/voc_val.json --confusions results/metrics/fcn/voc_val.npz --threads 4 \
      --fine-grained results/metrics/fcn/voc_val.fine_grained.npz
"""

import argparse

from segrepro.config.fine_grained import FineGrained
from segrepro.errors import UserError
from segrepro.options import ARRAYS, INPUT, OUTPUT, POSITIVE, add_options, section_of
from segrepro.provenance.results import add_arguments as add_provenance_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:

    add = parser.add_argument
    add("--scores", type=INPUT, required=True, metavar="H5", help="score store of the system")
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the split: pictures and masks")
    add("--json", type=OUTPUT, required=True, metavar="JSON", help="metrics to write")
    add("--confusions", type=ARRAYS, required=True, metavar="NPZ", help="confusions to write")
    add("--fine-grained", type=ARRAYS, metavar="NPZ", help="counts near boundaries and by size to write")
    add_options(parser, FineGrained)
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    add("--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)")
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    import numpy as np

    from segrepro.evaluation.confusion import save_confusions
    from segrepro.evaluation.fine_grained import fine_grained_summary, save_fine_counts, score_fine_grained
    from segrepro.evaluation.metrics import summary
    from segrepro.evaluation.pictures import PictureScorer, picture_confusions
    from segrepro.files import ids_sha256, write_json
    from segrepro.labels import label_space
    from segrepro.provenance.results import provenance
    from segrepro.stores.manifests import read_manifest
    from segrepro.stores.same_pictures import check_same_pictures
    from segrepro.stores.scores import ScoreReader

    space = label_space(args.label_space)
    examples = read_manifest(args.manifest)
    with ScoreReader(args.scores) as reader:
        reader.mapping(space.name)
        check_same_pictures(reader, examples, args.manifest)
        system, origin = reader.system, provenance(args, written=reader.code)
    scorer = PictureScorer(args.scores, space.name, len(space))
    counts = None
    if args.fine_grained:
        how = {"system": system, "split": args.manifest.stem, "threads": args.threads}
        confusions, counts = score_fine_grained(scorer, section_of(args, FineGrained), examples, **how)
    else:
        confusions = picture_confusions(scorer, examples, threads=args.threads, label=system)
    try:
        measured = summary(confusions.sum(axis=0, dtype=np.int64), space)
    except ValueError as error:
        raise UserError(f"{args.manifest}: {error}; check its masks.") from error
    ids = [example.id for example in examples]
    save_confusions(args.confusions, ids, confusions)
    if counts:
        save_fine_counts(args.fine_grained, counts)
        measured |= fine_grained_summary(counts, space)
    content = {
        "system": system,
        "split": args.manifest.stem,
        "label_space": space.name,
        "pictures": len(examples),
        "ids_sha256": ids_sha256(ids),
        "provenance": origin,
    }
    write_json(args.json, content | measured)
    miou, classes = 100 * measured["miou"], measured["classes"]
    print(f"{system} on {args.manifest.stem}: mIoU {miou:.2f} % over {classes} classes")
