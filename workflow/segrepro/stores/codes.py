"""Which code filled a score store, as the store keeps it; `segrepro.provenance.code` finds out and compares."""

import json
from typing import Any

from pydantic import TypeAdapter

UNKNOWN = "unknown"

# (name of the module that wrote, its hash) pairs, sorted.
Written = tuple[tuple[str, str], ...]

# Of a store that does not say.
NOBODY_KNOWS: Written = ((UNKNOWN, UNKNOWN),)
_FORM = TypeAdapter(list[tuple[str, str]])


def joined(*codes: Written) -> Written:
    """Return what several stores were written by, as if they were one."""
    return tuple(sorted({pair for code in codes for pair in code}))


def to_text(code: Written) -> str:
    """Write the code of a store as its attribute."""
    return json.dumps(code)


def from_text(text: Any) -> Written:
    """Read a store's attribute: `NOBODY_KNOWS` where it is missing or empty, ValueError where it is something else."""
    if text is None:
        return NOBODY_KNOWS
    return tuple(_FORM.validate_json(text)) or NOBODY_KNOWS
