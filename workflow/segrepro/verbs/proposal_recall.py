r"""Measure proposals against the tight boxes of a manifest's objects, and print and write the table.

Example: segrepro proposal-recall --proposals data/proposals/edge_boxes/voc_val.h5 \
             --manifest data/manifests/voc_val.csv \
             --counts 50 500 2000 --ious 0.5 0.7 --out results/tables/proposal_recall.csv
"""

import argparse

from segrepro.config.proposals import ProposalRecall
from segrepro.options import INPUT, OUTPUT, POSITIVE, add_options, section_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--proposals", type=INPUT, required=True, help="proposals file (HDF5)")
    add("--manifest", type=INPUT, required=True, help="the pictures, of a set with instances")
    add_options(parser, ProposalRecall)
    add("--threads", type=POSITIVE, default=1, help="number of processes (1)")
    add("--out", type=OUTPUT, required=True, help="table to write (CSV)")


def run(args: argparse.Namespace) -> None:
    from segrepro.data.proposal_recall import COLUMNS, recall_table
    from segrepro.files import write_rows
    from segrepro.stores.manifests import read_manifest

    settings = section_of(args, ProposalRecall)
    rows = recall_table(args.proposals, read_manifest(args.manifest), settings, threads=args.threads)
    forms = {"recall": ".4f", "mean_best_overlap": ".4f", "boxes_per_picture": ".1f"}
    write_rows(args.out, COLUMNS, [[format(row[column], forms.get(column, "")) for column in COLUMNS] for row in rows])
    print(args.out.read_text(), end="")
