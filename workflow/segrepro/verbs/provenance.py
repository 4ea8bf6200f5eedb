r"""Put the provenance of a run together: config, data, seeds, code, packages, machine, commands.

Writes a JSON with all of it and a table with a row per system and split. `model_code` compares the code that made a
system's models (its ancestors' too) with the code that scored it: same, older (another; only the modules that a
training imports count, and no comment of theirs), or unknown. `scores_code` does so for the code that predicted (and
fused, stacked, refined) the scores. Hashes in the table are cut to 12 digits.

  segrepro provenance --metrics results/metrics/*/voc_val.json --made results/models/*/made.json \
      --checksums results/checksums/*.json --datasets results/checks/*.json --scale sample --seed 0 \
      --config-sha256 ab12 --out results/provenance.json --table results/tables/provenance.csv
"""

import argparse

from segrepro.options import INPUT, OUTPUT
from segrepro.provenance.results import add_arguments as add_provenance_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--metrics", type=INPUT, nargs="+", required=True, metavar="JSON", help="metrics files, in row order")
    add("--scale", required=True, help="scale of the config")
    add("--out", type=OUTPUT, required=True, metavar="JSON", help="provenance to write")
    add("--table", type=OUTPUT, required=True, metavar="CSV", help="table to write")
    add_provenance_arguments(parser)


def run(args: argparse.Namespace) -> None:
    from segrepro.files import write_json, write_rows
    from segrepro.provenance.results import COLUMNS, overview, overview_rows, provenance, read_provenance

    entries = [read_provenance(path) for path in args.metrics]
    found = overview(entries, args.made, provenance(args), scale=args.scale)
    write_rows(args.table, COLUMNS, [[row[column] for column in COLUMNS] for row in overview_rows(entries)])
    write_json(args.out, found)
    older, predicted = (", ".join(found[key]) or "none" for key in ("older", "older_scores"))
    print(
        f"{len(entries)} results; models made by other code than scored them: {older}; scores predicted by other code: "
        f"{predicted}"
    )
