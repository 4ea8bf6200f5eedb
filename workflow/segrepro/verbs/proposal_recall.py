r"""Measure proposals against the tight boxes of a manifest's objects, and print and write the table.

Example: segrepro proposal-recall --proposals data/proposals/edge_boxes/voc_val.h5 \
             --manifest data/manifests/voc_val.csv \
             --counts 50 500 2000 --ious 0.5 0.7 --out results/tables/proposal_recall.csv
"""

import argparse

from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    from segrepro.config.proposals import ProposalRecall

    parser.add_argument("--proposals", type=INPUT, required=True, help="proposals file (HDF5)")
    parser.add_argument("--manifest", type=INPUT, required=True, help="the pictures, of a set with instances")
    add_options(parser, ProposalRecall)
    parser.add_argument("--threads", type=POSITIVE, default=1, help="number of processes (1)")
    parser.add_argument("--out", type=OUTPUT, required=True, help="table to write (CSV)")


def run(args: argparse.Namespace) -> None:
    """Measure, write the table, print it."""
    from segrepro.config.proposals import ProposalRecall
    from segrepro.data.proposal_recall import COLUMNS, recall_table
    from segrepro.files import write_rows
    from segrepro.stores.manifests import read_manifest

    settings = section_of(args, ProposalRecall)
    rows = recall_table(args.proposals, read_manifest(args.manifest), settings, threads=args.threads)
    rows = [row | {name: f"{row[name]:.4f}" for name in ("recall", "mean_best_overlap")} for row in rows]
    rows = [row | {"boxes_per_picture": f"{row['boxes_per_picture']:.1f}"} for row in rows]
    write_rows(args.out, COLUMNS, [[row[column] for column in COLUMNS] for row in rows])
    print(args.out.read_text(), end="")
