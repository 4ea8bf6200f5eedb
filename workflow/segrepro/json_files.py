"""Reading the JSON files that pass between the verbs, and refusing keys that come twice in JSON and YAML.

Of a key that comes twice readers take the last one, and what the first one said is lost in silence.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from segrepro.errors import UserError
from segrepro.schema import explain

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Model = TypeVar("Model", bound=BaseModel)


class KeyTwiceError(ValueError):
    """A mapping has a key twice."""


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a mapping of a JSON object's pairs (``object_pairs_hook`` of `json.loads`); may raise `KeyTwiceError`."""
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        raise KeyTwiceError(f"key '{next(key for key in keys if keys.count(key) > 1)}' comes twice in one mapping")
    return mapping


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON mapping, which is what all files of the workflow hold.

    ``remedy`` says what to do where it cannot be read, e.g. "make it with `segrepro audit`".

    Raises:
        UserError: there is no such file, or it holds no JSON or no mapping, or a key twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=unique_keys, parse_constant=_refuse_constant)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: no such file; {remedy}.") from None
    except KeyTwiceError as error:
        raise UserError(f"{path}: {error}; {remedy}.") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, NaN, too long a number, too deep
        raise UserError(f"{path}: not JSON ({error}); {remedy}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a mapping; {remedy}.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")  # Python reads what JSON has no word for, and every limit lets it pass


def read_model(path: Path, model: type[Model], remedy: str) -> Model:
    """Read a JSON mapping of a declared form; a `UserError` as of `read_json`, or of the first key of another form."""
    try:
        return model.model_validate(read_json(path, remedy))
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, model)[0]}; {remedy}.") from None


def refuse_twins(path: Path) -> None:
    """Refuse a YAML or JSON file in which a mapping has a key twice; what is neither is left to its reader.

    A file that cannot be read is an OSError or UnicodeDecodeError.
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
