"""One short hash of everything in the config that a system's scores depend on, whatever the system is made of."""

import hashlib
import json
from typing import Any

from segrepro.config import Config, model_spec
from segrepro.graph import MODEL, PROPOSALS, SYSTEM, Node, graph_of

DIGITS = 12  # hexadecimal: enough to tell apart any number of systems that anyone will run

# Of a system: what tables set beside it, and which pictures it is scored on, are no part of what it computes.
NO_PART_OF_A_SYSTEM = {"splits", "published", "server"}
# Of a file: where it is fetched from, and what proves that it is the right one.
NO_PART_OF_A_FILE = {"urls", "md5", "sha256", "bytes", "sha256_list"}


def system_digest(config: Config, name: str) -> str:
    """Return a hash of a system's whole lineage: the first digits of `system_sha256`."""
    return system_sha256(config, name)[:DIGITS]


def system_sha256(config: Config, name: str) -> str:
    """Return the sha256 of the settings of a system and of all its ancestors, with every key, as sorted JSON.

    The ancestors come nearest first, and each names what it is made of, so that their order is that of the graph.
    """
    lineage = [_settings(config, node) for node in graph_of(config).ancestors(name)]
    return hashlib.sha256(json.dumps(lineage, sort_keys=True).encode()).hexdigest()


def _settings(config: Config, node: Node) -> dict[str, Any]:
    """Return a node's own settings; nothing for pretrained weights, which the specs of their models hold."""
    kind, name = node
    if kind == SYSTEM:
        system = config.systems[name]
        searched_at_random = system.crf and system.crf.search and system.crf.search.method == "random"
        return system.model_dump(mode="json", exclude=NO_PART_OF_A_SYSTEM) | {
            "seed": config.seed if system.stacking or searched_at_random else None
        }
    if kind == MODEL:
        return model_spec(config, name).plain()
    if kind == PROPOSALS:
        settings = config.proposals[name].model_dump(mode="json")
        if model := settings.get("model"):
            settings["model"] = {key: value for key, value in model.items() if key not in NO_PART_OF_A_FILE}
        return settings
    return {}
