"""Turns pydantic's validation errors into sentences that name the key by its full path."""

import difflib
import types
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return one sentence for each thing wrong: full key path, what is wrong, what to do."""
    sentences = []
    for item in error.errors(include_url=False):
        path = ".".join(str(part) for part in item["loc"])
        prefix = f"{path}: " if path else ""
        match item["type"]:
            case "extra_forbidden":
                sentences.append(prefix + _unknown_key(root, item["loc"]))
            case "missing":
                sentences.append(f"{prefix}this key is required and missing")
            case "value_error":
                # The config's own validators write one problem a line, each starting with the rest of its path.
                own = str(item["ctx"]["error"]).split("\n")
                sentences += [f"{path}.{line}" if path else line for line in own]
            case _:
                sentences.append(f"{prefix}{_lower(item['msg'])}, not {_shown(item['input'])}{_number_hint(item)}")
    return sentences


def _unknown_key(root: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    known = list(_known_keys(root, loc[:-1]))
    near = difflib.get_close_matches(str(loc[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"unknown key; did you mean '{near[0]}'?"
    return f"unknown key; known here are {', '.join(sorted(known))}"


def _known_keys(root: type[BaseModel], loc: Iterable[int | str]) -> Iterable[str]:
    annotation: Any = root
    for part in loc:
        annotation = _section(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            if field is None:
                return ()
            annotation = field.annotation
        else:  # dict[name, section] or list[section]
            annotation = typing.get_args(annotation)[-1]
    annotation = _section(annotation)
    return annotation.model_fields if hasattr(annotation, "model_fields") else ()


def _section(annotation: Any) -> Any:
    """Strip ``Annotated`` and ``| None`` off a type."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _section(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return _section(next(a for a in typing.get_args(annotation) if a is not type(None)))
    return annotation


def _lower(message: str) -> str:
    return message[0].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _number_hint(item: Any) -> str:
    if item["type"] in ("float_type", "int_type") and isinstance(item["input"], str):
        return " (text; YAML reads 1e-4 as text: write 1.0e-4)"
    return ""
