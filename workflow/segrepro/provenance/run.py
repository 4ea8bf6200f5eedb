"""Provenance of a whole run: one JSON, and a table with a row a system and split."""

from pathlib import Path
from typing import Any

from segrepro.errors import UserError
from segrepro.json_files import read_json
from segrepro.provenance.code import UNKNOWN
from segrepro.provenance.made import OLDER, read_made

COLUMNS = (
    *("system", "split", "model_code", "models", "scores_code", "scores", "seed", "config_sha256"),
    *("code_sha256", "commit", "dirty", "data_sha256"),
)
SHORT_HASH = 12
# What a system's entry repeats of the run's, where both ran by the same code on the same machine.
RUN_KEYS = ("versions", "hardware", "settings")


def read_provenance(path: Path) -> dict[str, Any]:
    """Read system, split and provenance of a metrics file.

    Raises:
        UserError: the file is missing, or was written without provenance.
    """
    content = read_json(path, "make it with `segrepro evaluate`")
    if not isinstance(content.get("provenance"), dict) or not {"system", "split"} <= content.keys():
        raise UserError(f"{path}: carries no provenance; evaluate it again.")
    return {key: content[key] for key in ("system", "split", "provenance")}


def overview(entries: list[dict[str, Any]], made: list[Path], run: dict[str, Any], *, scale: str) -> dict[str, Any]:
    """Put the provenance of a run together.

    Args:
        entries: of `read_provenance`.
        made: the models' ``made.json``.
        run: `segrepro.provenance.results.provenance` of the whole run.
        scale: of the config.

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
    rows = []
    for entry in entries:
        own = entry["provenance"]
        rows.append(
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
        )
    return rows
