r"""Audit which scored pictures were seen in the making of each system, and through which ancestor.

  segrepro audit --lineage results/lineage.json --out results/tables/leakage.csv --marks results/leakage.json

The lineage says what each system is made of and which manifests it, its models and its pretrained weights were trained
or tuned on; the workflow writes it from config.yaml. The table has a row per system and split, clean ones too: pictures
scored and leaked, the share in percent, the nearest leaking ancestor (`stack <- fcn8s (trained on sbd_train)`), the
first ids, all leaking ancestors, stackers fitted by folds (no leak), and the pretrained weights whose pictures are not
all known. The marks are the shares (0 to 1) that tables and figures mark leaking systems by.
"""

import argparse

from segrepro.options import INPUT, OUTPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--lineage", type=INPUT, required=True, metavar="JSON", help="what each system is made of and has seen")
    add("--out", type=OUTPUT, required=True, metavar="CSV", help="table to write")
    add("--marks", type=OUTPUT, required=True, metavar="JSON", help="shares to write, by system and split")


def run(args: argparse.Namespace) -> None:
    from segrepro.evaluation.leakage import COLUMNS, audit, leak_marks, leakage_rows, share_text
    from segrepro.files import write_json, write_rows
    from segrepro.graph import read_graph

    audits = audit(read_graph(args.lineage))
    write_rows(args.out, COLUMNS, [[row[column] for column in COLUMNS] for row in leakage_rows(audits)])
    write_json(args.marks, leak_marks(audits))
    for entry in audits:
        if entry.leaks:
            print(
                f"{entry.system} on {entry.split}: {len(entry.leaked)} of {entry.scored} pictures seen "
                f"({share_text(entry.share)}%), {entry.leaks[0]}, first {entry.leaked[0]}"
            )
    leaking = sum(bool(entry.leaks) for entry in audits)
    print(f"{args.out}: {leaking} of {len(audits)} results leak")
