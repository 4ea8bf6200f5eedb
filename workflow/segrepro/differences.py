"""The first difference of two plain values, as YAML and JSON hold them, by the path of its key."""

from typing import Any, NamedTuple


class _Nothing:
    def __repr__(self) -> str:
        return "not set"


NOTHING = _Nothing()


class Difference(NamedTuple):
    """Where two values differ: a key's path, e.g. ``protocol.learning_rate``, and what each has there or `NOTHING`."""

    key: str
    first: Any
    second: Any


def first_difference(first: Any, second: Any, key: str = "") -> Difference | None:
    """Return the first difference of two values, mappings key by key in sorted order; None where they are equal."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in sorted({*first, *second}, key=str):
            path = f"{key}.{name}" if key else str(name)
            if found := first_difference(first.get(name, NOTHING), second.get(name, NOTHING), path):
                return found
        return None
    return None if first == second else Difference(key, first, second)
