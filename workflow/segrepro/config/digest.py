"""One short hash of everything in the config that a system's scores depend on, whatever the system is made of."""

import hashlib
import json
from typing import Any

from segrepro.config import Config, model_spec

DIGITS = 12  # hexadecimal: enough to tell apart any number of systems that anyone will run

# Of a system: what tables set beside it, and which pictures it is scored on, are no part of what it computes.
NO_PART_OF_A_SYSTEM = {"splits", "reported", "server"}
# Of a file: where it is fetched from, and what proves that it is the right one.
NO_PART_OF_A_FILE = {"urls", "md5", "sha256", "bytes", "sha256_list"}


def system_digest(config: Config, name: str) -> str:
    """Return a hash of a system's whole lineage: the first digits of `system_sha256`."""
    return system_sha256(config, name)[:DIGITS]


def system_sha256(config: Config, name: str) -> str:
    """Return the sha256 of a system's whole lineage: over `system_lineage`, as sorted JSON."""
    text = json.dumps(system_lineage(config, name), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def system_lineage(config: Config, name: str) -> dict[str, Any]:
    """Return the settings of a system, of its members, of their models, and of the models that these started from.

    Settings that are as by default are left out of a system's own part, so that a new key of the config changes no
    hash of those who do not set it.
    """
    system = config.systems[name]
    proposals = system.proposal_wise.proposals if system.proposal_wise else None
    searched_at_random = system.crf and system.crf.search and system.crf.search.method == "random"
    return {
        "settings": system.model_dump(mode="json", exclude=NO_PART_OF_A_SYSTEM, exclude_defaults=True),
        "members": [system_lineage(config, member) for member in system.members],
        "model": _model_lineage(config, system.model) if system.model else None,
        "proposals": _proposals(config, proposals),
        "seed": config.seed if system.stacking or searched_at_random else None,
    }


def _model_lineage(config: Config, name: str) -> dict[str, Any]:
    model = config.models[name]
    parent = model.init.model if model.init else None
    return {
        "spec": model_spec(config, name),
        "init": _model_lineage(config, parent) if parent else None,
        "proposals": _proposals(config, getattr(model.examples, "proposals", None)),
    }


def _proposals(config: Config, name: str | None) -> dict[str, Any] | None:
    if name is None:
        return None
    settings = config.proposals[name].model_dump(mode="json", exclude_defaults=True)
    if model := settings.get("model"):
        settings["model"] = {key: value for key, value in model.items() if key not in NO_PART_OF_A_FILE}
    return settings
