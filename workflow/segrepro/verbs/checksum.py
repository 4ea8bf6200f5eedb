"""Write size and sha256 of a fetched file: what provenance calls the data by.

A size or checksum that the file must have is compared once more: one that the config got after the file was fetched
is so found to be right or wrong, and the file stays as it is.

Example: segrepro checksum data/downloads/benchmark.tgz --out results/checksums/benchmark.tgz.json
"""

import argparse

from segrepro.data.expected import add_expected_options, expected_of, find_fault
from segrepro.options import INPUT, OUTPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", type=INPUT, help="archive or weights file")
    add("--out", type=OUTPUT, required=True, metavar="JSON", help="file to write")
    add_expected_options(parser)


def run(args: argparse.Namespace) -> None:
    from segrepro.errors import UserError
    from segrepro.files import file_digest, write_json

    expected = expected_of(args, args.file.name)
    if not args.file.is_file():
        raise UserError(f"{args.file}: no such file; fetch it again.")
    if fault := find_fault(args.file, expected):
        raise UserError(
            f"{args.file}: {fault}; mend what the config says of it, or delete this file to have it fetched again."
        )
    size, sha256 = args.file.stat().st_size, file_digest(args.file)
    write_json(args.out, {"file": args.file.name, "bytes": size, "sha256": sha256})
    print(f"{args.file}: {size:,} bytes, sha256 {sha256}")
