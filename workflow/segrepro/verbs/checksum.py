"""Write size and sha256 of a fetched file: what provenance calls the data by.

Example: segrepro checksum data/downloads/benchmark.tgz --out results/checksums/benchmark.tgz.json
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", type=Path, help="archive or weights file")
    parser.add_argument("--out", type=Path, required=True, metavar="JSON", help="file to write")


def run(args: argparse.Namespace) -> None:
    """Hash the file and write the JSON."""
    from segrepro.files import write_json
    from segrepro.provenance.record import checksum

    found = checksum(args.file)
    write_json(args.out, found)
    print(f"{args.file}: {found['bytes']:,} bytes, sha256 {found['sha256']}")
