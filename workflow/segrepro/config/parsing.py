"""From the mapping that Snakemake merged to the typed config."""

import json
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from segrepro.config.experiment import Config
from segrepro.errors import UserError
from segrepro.schema import Section, explain


def in_order_of(published: Any, merged: Any) -> Any:
    """Put a merged mapping's keys, of any depth, into the order of the published config; others follow as they come.

    Snakemake puts the keys of ``--configfile`` first. Without this, an overlay that touches a system would move it to
    the head of every table and figure.
    """
    if not isinstance(published, dict) or not isinstance(merged, dict):
        return merged
    keys = [key for key in published if key in merged] + [key for key in merged if key not in published]
    return {key: in_order_of(published.get(key), merged[key]) for key in keys}


def parse_config(merged: dict[str, Any]) -> Config:
    """Validate a merged config mapping.

    Raises:
        UserError: with one line for each faulty key: its full path, what is wrong, and the remedy.
    """
    systems = merged.get("systems")
    left_out = {name for name, entry in systems.items() if entry is None} if isinstance(systems, dict) else set()
    merged = _without_nulls(Config, merged)
    for key in ("ablations", "figures"):
        if isinstance(merged.get(key), dict):
            merged[key] = _without_systems(merged[key], left_out)
    merged |= _without_systems({key: merged[key] for key in ("submission",) if key in merged}, left_out)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise UserError("config: " + "\nconfig: ".join(explain(error, Config))) from None


def _without_nulls(kind: Any, values: Any) -> Any:
    """Drop the entries of tables (of any depth) that an overlay set to null: that is how it leaves one out.

    The values are to be of a kind: a section, or a table of them (``dict[str, section]``). What is no mapping is left
    to the validation.
    """
    if not isinstance(values, dict):
        return values
    if get_origin(kind) is dict:
        entry = get_args(kind)[1]
        return {name: _without_nulls(entry, value) for name, value in values.items() if value is not None}
    if isinstance(kind, type) and issubclass(kind, Section):
        fields = kind.model_fields
        return {
            key: _without_nulls(fields[key].annotation, value) if key in fields else value
            for key, value in values.items()
        }
    return values


def _without_systems(sections: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    """Drop systems that an overlay left out from sections that list them, and comparisons with nothing to compare.

    What is not of a section's form stays as it is, to be refused.
    """
    kept = {}
    for name, section in sections.items():
        systems = section.get("systems") if isinstance(section, dict) else None
        if isinstance(systems, list) and systems:
            section = section | {"systems": [s for s in systems if not isinstance(s, str) or s not in left_out]}
            baseline = section.get("baseline")
            if baseline is not None and (not section["systems"] or str(baseline) in left_out):
                continue
        kept[name] = section
    return kept


def json_schema() -> str:
    """Return the config's JSON schema, as stored in ``workflow/schemas/config.schema.json``."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
