"""Write a resolved part of the config to a file: a model's spec (YAML), or the published numbers (JSON).

The workflow passes the resolved mapping, so that Snakemake sees which files a change of the config touches.

Example: segrepro spec --json '{"name": "m", ...}' --out results/models/m/spec.yaml
"""

import argparse
import json

from segrepro.options import OutputFile

SPEC = OutputFile(endings=(".yaml", ".json"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--json", required=True, help="the resolved part, as JSON")
    add("--out", type=SPEC, required=True, help="file to write: .yaml or .json")


def run(args: argparse.Namespace) -> None:
    import yaml

    from segrepro.errors import UserError
    from segrepro.files import write_json, write_text
    from segrepro.json_files import unique_keys

    try:
        spec = json.loads(args.json, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise UserError(f"--json: not JSON ({error}); pass the mapping that the workflow resolved.") from None
    if args.out.suffix == ".json":
        write_json(args.out, spec)
    else:
        write_text(args.out, yaml.safe_dump(spec, sort_keys=True, allow_unicode=True))
