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
    """Declare the verb's options."""
    parser.add_argument("--manifest", type=INPUT, required=True, metavar="CSV", help="the split: pictures and masks")
    parser.add_argument("--scores", type=INPUT, nargs="+", required=True, metavar="H5", help="score stores, in order")
    parser.add_argument(
        "--confusions", type=INPUT, nargs="+", required=True, metavar="NPZ", help="confusions, one for each of --scores"
    )
    parser.add_argument("--out", type=PACKED, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--threads", type=POSITIVE, default=1, metavar="N", help="processes to use (default: 1)")
    parser.add_argument(
        "--label-space", default="voc21", metavar="NAME", help="label space of the masks (default: voc21)"
    )


def run(args: argparse.Namespace) -> None:
    """Pack the split."""
    from segrepro.errors import UserError
    from segrepro.labels import label_space
    from segrepro.report.page.pictures import write_split

    if len(args.scores) != len(args.confusions):
        raise UserError(
            f"--confusions: {len(args.confusions)} files for {len(args.scores)} score stores; give one each."
        )
    write_split(
        args.out,
        args.manifest,
        stores=args.scores,
        confusions=args.confusions,
        space=label_space(args.label_space),
        threads=args.threads,
    )
