"""The provenance of a result, as metrics files carry it, and of a whole run: one JSON, and a table.

It has the same bytes for the same config, data, code and machine.
"""

import argparse
from pathlib import Path
from typing import Any

from segrepro.errors import UserError
from segrepro.json_files import read_json
from segrepro.options import INPUT, SEED
from segrepro.provenance.code import OLDER, UNKNOWN, age, code_identity, module_sha256, oldest
from segrepro.provenance.machine import machine_record
from segrepro.provenance.made import read_made
from segrepro.stores.codes import Written

COLUMNS = (
    *("system", "split", "model_code", "models", "scores_code", "scores", "seed", "config_sha256"),
    *("code_sha256", "commit", "dirty", "data_sha256"),
)
SHORT_HASH = 12
# What a system's entry repeats of the run's, where both ran by the same code on the same machine.
RUN_KEYS = ("versions", "hardware", "settings")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that tell a verb where its input comes from; without them that much is not recorded."""
    group = parser.add_argument_group("provenance", "what the result comes from, to be recorded with it")
    group.add_argument("--config-sha256", metavar="HASH", help="of the part of the config that it depends on")
    group.add_argument("--seed", type=SEED, help="of the experiment")
    group.add_argument("--checksums", type=INPUT, nargs="+", default=[], metavar="JSON", help="of `segrepro checksum`")
    group.add_argument("--datasets", type=INPUT, nargs="+", default=[], metavar="JSON", help="of check-labels")
    group.add_argument("--made", type=INPUT, nargs="+", default=[], metavar="JSON", help="made.json of its models")


def provenance(args: argparse.Namespace, *, written: Written | None = None) -> dict[str, Any]:
    """Return the provenance of what a verb writes, from its arguments (of `add_arguments`, and ``argv``).

    ``written`` says which code filled the score store that the result is computed from; None where there is none.

    Returns:
        ``config_sha256``, ``seed``, ``files`` (name -> sha256), ``datasets`` (name -> sha256 of the ids), ``models``
        (name -> training hashes of the codes that made it, and ``code``: same, older or unknown beside the code that
        runs), ``model_code`` (the worst of these; None where no model is known), with ``written`` the same of the code
        that filled the store (``scores`` and ``scores_code``), ``code``, and what `machine_record` says.
    """
    code = code_identity()
    models = {}
    for made in map(read_made, args.made):
        hashes = [entry["training_sha256"] for entry in made["code"]]
        models[made["model"]] = {
            "spec_sha256": made["spec_sha256"],
            "training_sha256": hashes,
            "code": age(hashes, code["training_sha256"]),
        }
    return {
        "config_sha256": args.config_sha256,
        "seed": args.seed,
        "files": _collected(args.checksums, "file", "sha256", "segrepro checksum"),
        "datasets": _collected(args.datasets, "manifest", "ids_sha256", "segrepro check-labels"),
        "models": models,
        "model_code": oldest(model["code"] for model in models.values()),
        **(_described(written) if written is not None else {}),
        "code": code,
        **machine_record(args.argv),
    }


def _described(code: Written) -> dict[str, Any]:
    entries = [
        {"module": module, "sha256": digest, "code": age([digest], module_sha256(module))} for module, digest in code
    ]
    return {"scores": entries, "scores_code": oldest(entry["code"] for entry in entries)}


def _collected(paths: list[Path], name: str, value: str, maker: str) -> dict[str, str]:
    found = {}
    for path in paths:
        content = read_json(path, f"make it with `{maker}`")
        if not {name, value} <= content.keys():
            raise UserError(f"{path}: not what `{maker}` writes; make it again.")
        found[content[name]] = content[value]
    return found


def read_provenance(path: Path) -> dict[str, Any]:
    """Read system, split and provenance of a metrics file; refuse one that was written without provenance."""
    content = read_json(path, "make it with `segrepro evaluate`")
    if not isinstance(content.get("provenance"), dict) or not {"system", "split"} <= content.keys():
        raise UserError(f"{path}: carries no provenance; evaluate it again.")
    return {key: content[key] for key in ("system", "split", "provenance")}


def overview(entries: list[dict[str, Any]], made: list[Path], run: dict[str, Any], *, scale: str) -> dict[str, Any]:
    """Put the provenance of a run together: of its results, its models' ``made.json`` and `provenance` of the whole.

    Returns:
        ``run`` with ``scale``, the models' files in full, ``systems`` (system -> split -> provenance without what
        equals the run's), ``older`` (systems, one of whose models was made by other code than scored it) and
        ``older_scores`` (systems whose scores, or whose members', were predicted by other code).
    """
    systems: dict[str, dict[str, Any]] = {}
    for entry in entries:
        own = entry["provenance"]
        kept = {key: value for key, value in own.items() if key not in RUN_KEYS or value != run[key]}
        systems.setdefault(entry["system"], {})[entry["split"]] = kept
    return run | {
        "scale": scale,
        "models": {content["model"]: content for content in map(read_made, made)},
        "systems": systems,
        "older": sorted({e["system"] for e in entries if e["provenance"]["model_code"] == OLDER}),
        "older_scores": sorted({e["system"] for e in entries if e["provenance"].get("scores_code") == OLDER}),
    }


def overview_rows(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Build the rows of ``provenance.csv``, with the keys `COLUMNS`; hashes are cut to `SHORT_HASH` digits.

    ``models`` are those among system and ancestors, each with its ``model_code``; ``scores`` the modules that filled
    the store and those that it is made from, each with its ``scores_code`` (unknown in metrics that do not say);
    ``data_sha256`` is that of the split's ids.
    """
    return [
        {
            "system": entry["system"],
            "split": entry["split"],
            "model_code": own["model_code"] or "",
            "models": "; ".join(f"{name}: {model['code']}" for name, model in sorted(own["models"].items())),
            "scores_code": own.get("scores_code", UNKNOWN),
            "scores": "; ".join(f"{part['module']}: {part['code']}" for part in own.get("scores", [])),
            "seed": "" if own["seed"] is None else str(own["seed"]),
            "config_sha256": (own["config_sha256"] or "")[:SHORT_HASH],
            "code_sha256": own["code"]["sha256"][:SHORT_HASH],
            "commit": own["code"]["commit"][:SHORT_HASH],
            "dirty": {True: "yes", False: "no"}.get(own["code"]["dirty"], str(own["code"]["dirty"])),
            "data_sha256": own["datasets"].get(entry["split"], "")[:SHORT_HASH],
        }
        for entry in entries
        for own in [entry["provenance"]]
    ]
