r"""Pack a split's pictures, label maps and scores for the explorer of the report page.

Writes a folder that the page loads on demand, from disk: each picture as it is, one script with its label maps (the
truth and every system's), and an index with the scores of every picture. The scores are those of `segrepro evaluate`.

  segrepro page-pictures --manifest data/manifests/voc_val.csv \
      --scores results/scores/a/voc_val.h5 results/scores/b/voc_val.h5 \
      --confusions results/metrics/a/voc_val.npz results/metrics/b/voc_val.npz \
      --out results/report/pictures/voc_val --threads 4
"""

import argparse

from segrepro.options import INPUT, POSITIVE, OutputFolder

PACKED = OutputFolder("folder of packed pictures", "index.js", ("*.js", "*.jpg", "*.jpeg", "*.png"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--manifest", type=INPUT, required=True, metavar="CSV", help="the split: pictures and masks")
    add("--scores", type=INPUT, nargs="+", required=True, metavar="H5", help="score stores, in order")
    add(
        "--confusions", type=INPUT, nargs="+", required=True, metavar="NPZ", help="confusions, one for each of --scores"
    )
    add("--out", type=PACKED, required=True, metavar="DIR", help="folder to write")
    add("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    add("--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)")


def run(args: argparse.Namespace) -> None:
    from segrepro.errors import UserError
    from segrepro.labels import label_space
    from segrepro.report.page.pictures import write_split

    if len(args.scores) != len(args.confusions):
        raise UserError(
            f"--confusions: {len(args.confusions)} files for {len(args.scores)} score stores; give one each."
        )
    how = {"space": label_space(args.label_space), "threads": args.threads}
    write_split(args.out, args.manifest, stores=args.scores, confusions=args.confusions, **how)
