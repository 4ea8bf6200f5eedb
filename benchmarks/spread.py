"""Measure how much each system's mIoU varies with the seed: workflow/segrepro/report/spread.csv.

One run per seed, in folders of their own, for instance (some minutes each, one after another):

    for seed in 0 1 2 3 4; do
      snakemake results/tables/miou.csv --directory /tmp/seed$seed --config seed=$seed
    done
    python benchmarks/spread.py /tmp/seed?/results/tables/miou.csv

The settings are those of this checkout, which must be the one that made the runs. Where a key was added to the config
since and its default changes no number, `python benchmarks/spread.py` without tables gives the rows their new hashes.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from segrepro.config import parse_config
from segrepro.report.reproduction import SPREAD_COLUMNS, SPREAD_FILE
from segrepro.report.systems import systems_of

ROOT = Path(__file__).parents[1]
SCALE = "sample"


def merged(base: dict, overlay: dict) -> dict:
    """Lay one mapping over another as Snakemake does."""
    both = {
        key: merged(base[key], value) for key, value in overlay.items() if isinstance(value, dict) and base.get(key)
    }
    return base | overlay | both


def settings_of_systems() -> dict[str, str]:
    """Return by system the hash of its settings in this checkout, without the seed."""
    files = [ROOT / "config.yaml", ROOT / f"workflow/scales/{SCALE}.yaml"]
    config = parse_config(merged(*(yaml.safe_load(file.read_text()) for file in files)))
    return {system.name: system.settings for system in systems_of(config).systems}


def spread_of(tables: list[Path], commit: str) -> pd.DataFrame:
    """Return a row per system and split from the `miou.csv` of several runs."""
    runs = pd.concat([pd.read_csv(table) for table in tables])
    mious = runs.groupby(["system", "split"], sort=False)["miou"]
    rows = mious.agg(seeds="count", mean="mean", deviation="std", low="min", high="max").round(2).reset_index()
    if missing := sorted(rows.loc[rows["seeds"] != len(tables), "system"]):
        sys.exit(f"{', '.join(missing)}: not in all of the {len(tables)} tables; give runs of one config.")
    return rows.assign(scale=SCALE, commit=commit)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="*", help="miou.csv of each run; none: those of --out")
    parser.add_argument("--commit", help="of the code that made the runs (default: this checkout's)")
    parser.add_argument("--out", type=Path, default=ROOT / "workflow/segrepro/report" / SPREAD_FILE)
    args = parser.parse_args()
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = spread_of(args.tables, args.commit or head.stdout.strip()) if args.tables else pd.read_csv(args.out)
    rows["settings"] = rows["system"].map(settings_of_systems())
    rows.to_csv(args.out, columns=list(SPREAD_COLUMNS), index=False, float_format="%.2f", lineterminator="\n")
