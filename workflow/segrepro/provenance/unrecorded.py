"""What stands in results and nobody keeps a record of, compared with the config.

Snakemake knows by its records (``.snakemake``) which settings made a file. Where they were deleted, or results copied
without them, every file counts as up to date, whatever the config says. What the files themselves tell is compared
here: a model's ``spec.yaml`` and ``made.json``, the config's hash in metrics, and ``config.json``, the run's config.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from segrepro.differences import first_difference
from segrepro.errors import UserError

REMEDY = (
    "Snakemake's record of it (.snakemake) is gone, and it would count as up to date: bring the record back, make "
    "everything again (--forceall), or keep what stands (--touch)"
)


def refuse_other_results(
    results: Path,
    *,
    specs: Mapping[str, Mapping[str, Any]],
    hashes: Mapping[tuple[str, str], str],
    config: Mapping[str, Any],
    unrecorded: Callable[[str], bool],
) -> None:
    """Refuse results that were made by another config, where nobody but they themselves can tell.

    Args:
        results: their folder.
        specs: model -> `segrepro.config.spec.ModelSpec.plain`.
        hashes: (system, split) -> the hash of the part of the config that its scores depend on.
        config: what ``config.json`` would hold.
        unrecorded: says of a path whether a file stands there of which there is no record.
    """
    for model, spec in specs.items():
        folder = results / "models" / model
        if unrecorded(str(folder / "spec.yaml")):
            _compare(folder / "spec.yaml", _content(folder / "spec.yaml"), spec)
        if unrecorded(str(folder / "made.json")):
            declared = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
            made = _content(folder / "made.json").get("spec_sha256")
            _compare(folder / "made.json", {"spec_sha256": made}, {"spec_sha256": declared})
    for (system, split), declared in hashes.items():
        path = results / "metrics" / system / f"{split}.json"
        if unrecorded(str(path)):
            provenance = _content(path).get("provenance")
            made = provenance.get("config_sha256") if isinstance(provenance, dict) else None
            _compare(path, {"config_sha256": made}, {"config_sha256": declared})
    if unrecorded(str(results / "config.json")):
        _compare(results / "config.json", _content(results / "config.json"), json.loads(json.dumps(config)))


def _content(path: Path) -> dict[str, Any]:
    """Return the mapping that a file holds; none where it holds something else, which differs from everything."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _compare(path: Path, stands: Mapping[str, Any], declared: Mapping[str, Any]) -> None:
    if found := first_difference(stands, declared):
        words = f"{found.key} was {found.first!r} and is {found.second!r} now"
        raise UserError(f"{path}: was made by another config: {words}; {REMEDY}.")
