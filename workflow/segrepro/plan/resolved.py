"""Resolved parts of the config that are written to files, so that a change reruns just what reads them."""

import json
from typing import Any

from segrepro.config import model_spec
from segrepro.plan.experiment import Plan
from segrepro.report.systems import systems_of

# What was asked for, but not where archives lie or how a run goes: neither changes a result.
NO_PART_OF_A_RESULT = ("runtime", "archives_dir")


def shown_config(merged: dict[str, Any]) -> dict[str, Any]:
    """Return the config, as Snakemake merged it, as the page shows it and ``config.json`` holds it."""
    return {key: value for key, value in merged.items() if key not in NO_PART_OF_A_RESULT}


def parts(plan: Plan) -> list[str]:
    """Return the files of all parts, below the folder of results."""
    specs = [f"models/{name}/spec.yaml" for name in plan.config.models]
    return [*specs, "config.json", "lineage.json", "metrics/systems.json", "metrics/published.json"]


def resolved(plan: Plan, part: str, merged: dict[str, Any]) -> str:
    """Return one of `parts` as JSON: a model's spec, the whole config, the graph, what tables are told of systems."""
    config = plan.config
    if part == "config.json":
        content = shown_config(merged)
    elif part == "lineage.json":
        content = plan.graph.model_dump(mode="json")
    elif part == "metrics/systems.json":
        content = systems_of(config).model_dump(mode="json")
    elif part == "metrics/published.json":
        systems = config.systems.items()
        content = {
            name: {split: numbers.model_dump() for split, numbers in each.published.items()} for name, each in systems
        }
    else:
        content = model_spec(config, part.split("/")[1]).plain()
    return json.dumps(content, sort_keys=True)
