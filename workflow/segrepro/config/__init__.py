"""The typed config: the one place that says what may be configured, with units and sources.

``config.yaml`` holds the published experiment; ``workflow/scales/<scale>.yaml`` is laid over it; files given by
``--configfile`` and values given by ``--config`` over both. ``parse_config`` turns the merged mapping into a
`Config` or raises a `UserError` that names each faulty key by its full path. The JSON schema in
``workflow/schemas/`` is generated from these classes.
"""

from importlib import import_module
from typing import Any

# Imported when they are asked for: an engine that takes one section depends on that section's module and on no figure's
# (`segrepro.provenance.code` hashes what a training imports).
HOMES = {
    "Config": "experiment",
    "in_order_of": "parsing",
    "json_schema": "parsing",
    "model_spec": "spec",
    "parse_config": "parsing",
}


def __getattr__(name: str) -> Any:
    """Give a name of `HOMES`."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
