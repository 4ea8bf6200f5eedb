"""Write the JSON schema of config.yaml, generated from the typed config.

Example: segrepro schema --out workflow/schemas/config.schema.json
"""

import argparse

from segrepro.options import OUTPUT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=OUTPUT, required=True, help="schema file to write (JSON)")


def run(args: argparse.Namespace) -> None:
    from segrepro.config import json_schema
    from segrepro.files import write_text

    write_text(args.out, json_schema())
