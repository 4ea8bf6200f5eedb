"""The provenance of a result, as metrics files carry it: the same bytes for the same config, data, code and machine."""

import argparse
from pathlib import Path
from typing import Any

from segrepro.environment import chosen_settings
from segrepro.errors import UserError
from segrepro.files import file_digest
from segrepro.json_files import read_json
from segrepro.options import INPUT, SEED
from segrepro.provenance.code import code_identity
from segrepro.provenance.machine import command_text, hardware, versions
from segrepro.provenance.made import age, oldest, read_made
from segrepro.provenance.stores import described
from segrepro.stores.codes import Written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that tell a verb where its input comes from; without them that much is not recorded."""
    group = parser.add_argument_group("provenance", "what the result comes from, to be recorded with it")
    group.add_argument("--config-sha256", metavar="HASH", help="of the part of the config that it depends on")
    group.add_argument("--seed", type=SEED, help="of the experiment")
    group.add_argument("--checksums", type=INPUT, nargs="+", default=[], metavar="JSON", help="of `segrepro checksum`")
    group.add_argument("--datasets", type=INPUT, nargs="+", default=[], metavar="JSON", help="of check-labels")
    group.add_argument("--made", type=INPUT, nargs="+", default=[], metavar="JSON", help="made.json of its models")


def checksum(path: Path) -> dict[str, Any]:
    """Return ``file`` (name), ``bytes`` and ``sha256`` of a fetched file.

    Raises:
        UserError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; fetch it again.")
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": file_digest(path)}


def provenance(args: argparse.Namespace, *, written: Written | None = None) -> dict[str, Any]:
    """Return the provenance of what a verb writes, from its arguments.

    Args:
        args: of `add_arguments`, and ``argv``.
        written: which code filled the score store that the result is computed from; None where there is none.

    Returns:
        ``config_sha256``, ``seed``, ``files`` (name -> sha256), ``datasets`` (name -> sha256 of the ids), ``models``
        (name -> training hashes of the codes that made it, and ``code``: same, older or unknown beside the code that
        runs), ``model_code`` (the worst of these; None where no model is known), with ``written`` the same of the code
        that filled the store (``scores`` and ``scores_code``), ``code``, ``versions``, ``hardware``, ``settings``
        (`segrepro.environment.chosen_settings`) and ``command``.

    Raises:
        UserError: a file is missing or of another form.
    """
    code = code_identity()
    models = {}
    for made in map(read_made, args.made):
        models[made["model"]] = {
            "spec_sha256": made["spec_sha256"],
            "training_sha256": [entry["training_sha256"] for entry in made["code"]],
            "code": age(made["code"], code["training_sha256"]),
        }
    return {
        "config_sha256": args.config_sha256,
        "seed": args.seed,
        "files": _collected(args.checksums, "file", "sha256", "segrepro checksum"),
        "datasets": _collected(args.datasets, "manifest", "ids_sha256", "segrepro check-labels"),
        "models": models,
        "model_code": oldest([model["code"] for model in models.values()]),
        **(described(written) if written is not None else {}),
        "code": code,
        "versions": versions(),
        "hardware": hardware(),
        "settings": chosen_settings(),
        "command": command_text(args.argv),
    }


def _collected(paths: list[Path], name: str, value: str, maker: str) -> dict[str, str]:
    found = {}
    for path in paths:
        content = read_json(path, f"make it with `{maker}`")
        if not {name, value} <= content.keys():
            raise UserError(f"{path}: not what `{maker}` writes; make it again.")
        found[content[name]] = content[value]
    return found
