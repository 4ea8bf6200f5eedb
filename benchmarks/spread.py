"""Measure how much each system's mIoU varies with the seed: workflow/segrepro/report/spread.csv.

One run per seed, in folders of their own, for instance (some minutes each, one after another):

    for seed in 0 1 2 3 4; do
      snakemake results/tables/miou.csv --directory /tmp/seed$seed --config seed=$seed
    done
    python benchmarks/spread.py /tmp/seed?/results/tables/miou.csv

The settings are those of this checkout, which must be the one that made the runs.
"""

import argparse
import csv
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

import yaml

from segrepro.config import parse_config
from segrepro.files import write_rows
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


def spread_rows(tables: list[Path], commit: str) -> list[dict[str, str]]:
    """Return a row per system and split from the `miou.csv` of several runs."""
    mious: dict[tuple[str, str], list[float]] = {}
    for table in tables:
        with table.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                mious.setdefault((row["system"], row["split"]), []).append(float(row["miou"]))
    files = [ROOT / "config.yaml", ROOT / f"workflow/scales/{SCALE}.yaml"]
    config = parse_config(merged(*(yaml.safe_load(file.read_text()) for file in files)))
    settings = {system.name: system.settings for system in systems_of(config).systems}
    rows = []
    for (system, split), values in mious.items():
        if len(values) != len(tables):
            sys.exit(f"{system} on {split} is in {len(values)} of {len(tables)} tables; give runs of one config.")
        numbers = {"mean": mean(values), "deviation": stdev(values), "low": min(values), "high": max(values)}
        row = {"scale": SCALE, "system": system, "split": split, "settings": settings[system], "commit": commit}
        rows.append(row | {"seeds": str(len(values))} | {key: f"{value:.2f}" for key, value in numbers.items()})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="miou.csv of each run")
    parser.add_argument("--commit", help="of the code that made the runs (default: this checkout's)")
    parser.add_argument("--out", type=Path, default=ROOT / "workflow/segrepro/report" / SPREAD_FILE)
    args = parser.parse_args()
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    rows = spread_rows(args.tables, args.commit or head.stdout.strip())
    write_rows(args.out, SPREAD_COLUMNS, [[row[column] for column in SPREAD_COLUMNS] for row in rows])
