"""Keys that come twice in JSON and YAML: readers take the last one, and what the first one said is lost in silence."""

import json
from pathlib import Path
from typing import Any

import yaml

from segrepro.errors import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class KeyTwiceError(ValueError):
    """A mapping has a key twice."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a mapping of a JSON object's pairs: ``object_pairs_hook`` of `json.loads`.

    Raises:
        KeyTwiceError: a key comes twice.
    """
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyTwiceError(f"key '{next(key for key in keys if keys.count(key) > 1)}' comes twice in one mapping")
    return mapping


def refuse_twins(path: Path) -> None:
    """Refuse a YAML or JSON file in which a mapping has a key twice; what is neither is left to its reader.

    Raises:
        UserError: a key comes twice.
        OSError, UnicodeDecodeError: the file cannot be read.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:
        try:
            json.loads(text, object_pairs_hook=unique_keys)  # JSON may be indented by tabs, YAML may not
        except KeyTwiceError as error:
            raise UserError(f"{path}: {error}; keep one of them.") from None
        except (ValueError, RecursionError):
            return
        return
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an anchor's, which may contain itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        if isinstance(node, yaml.MappingNode):
            _refuse_twins_of(node, path)
            waiting += [value for _, value in node.value]


def _refuse_twins_of(node: yaml.MappingNode, path: Path) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line = key.start_mark.line + 1
        if key.value in lines:
            raise UserError(
                f"{path}, line {line}: key '{key.value}' comes twice in one mapping, the first time in line "
                f"{lines[key.value]}; keep one of them."
            )
        lines[key.value] = line
