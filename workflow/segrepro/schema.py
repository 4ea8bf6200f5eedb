"""What every declared setting shares: the class of a section, constrained types, and the sentences of errors.

A section declares each of its settings once: type, range, default, unit and source. The config (`segrepro.config`), the
options of verbs (`segrepro.options`), specs and digests all come from that declaration, and engines take sections as
they are.
"""

import difflib
import re
import reprlib
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints, ValidationError, field_validator
from pydantic_core import PydanticCustomError

# Names become those of files, which have room for 255 bytes, of which temporary names need some.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]*$", max_length=100)]
# Below 2 ** 31: products of two such numbers fit what TensorFlow and HDF5 count with.
Positive = Annotated[int, Field(gt=0, lt=2**31)]
Bytes = Annotated[int, Field(gt=0, lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
# Probability that a label is right; must exceed 0.5, or another label would win.
Confidence = Annotated[float, Field(gt=0.5, lt=1)]
# A file's or picture's own name: no path, nothing that a shell or Snakemake would read otherwise.
PlainName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=150)]
MD5, SHA256 = r"^[0-9a-fA-F]{32}$", r"^[0-9a-fA-F]{64}$"
Md5 = Annotated[str, StringConstraints(pattern=MD5, to_lower=True)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256, to_lower=True)]
# What `explain` says instead of a pattern.
_WANTED = {MD5: "32 hexadecimal digits", SHA256: "64 hexadecimal digits"}


class Section(BaseModel):
    """A part of the config.

    Unknown keys, values of another type, numbers without end and lists that name something twice are refused.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _named_once(cls, value: Any) -> Any:
        for names in value.values() if isinstance(value, dict) else [value]:
            if isinstance(names, list):
                for name in names:
                    if isinstance(name, str) and names.count(name) > 1:
                        told = "{name} is named twice; name it once"
                        raise PydanticCustomError("named_twice", told, {"name": repr(name)})
        return value


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """Return one sentence for each thing wrong: full key path, what is wrong, what to do."""
    sentences = []
    for item in error.errors(include_url=False):
        path = ".".join(map(_key, _as_written(root, item["loc"])))
        prefix = f"{path}: " if path else ""
        match item["type"]:
            case "extra_forbidden":
                sentences.append(prefix + _unknown_key(root, item["loc"]))
            case "missing":
                sentences.append(f"{prefix}this key is required and missing")
            case "union_tag_not_found":
                key = item["ctx"]["discriminator"].strip("'")
                sentences.append(f"{path}.{key}: this key is required and missing")
            case "union_tag_invalid":
                key, tags = item["ctx"]["discriminator"].strip("'"), item["ctx"]["expected_tags"]
                sentences.append(f"{path}.{key}: input should be one of {tags}, not {_shown(item['ctx']['tag'])}")
            case "too_short":
                sentences.append(f"{prefix}give {item['ctx']['min_length']} or more, not {_shown(item['input'])}")
            case "string_pattern_mismatch" if item["ctx"]["pattern"] in _WANTED:
                sentences.append(f"{prefix}give {_WANTED[item['ctx']['pattern']]}, not {_shown(item['input'])}")
            case "named_twice":
                sentences.append(prefix + item["msg"])
            case "value_error":
                # The config's own validators write one problem a line, each starting with the rest of its path.
                own = str(item["ctx"]["error"]).split("\n")
                sentences += [f"{path}.{line}" if path else line for line in own]
            case _:
                message = item["msg"][0].lower() + item["msg"][1:]
                sentences.append(f"{prefix}{message}, not {_shown(item['input'])}{_type_hint(item)}")
    return sentences


def _unknown_key(root: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    *place, key = loc
    known = list(_annotation_at(root, place).model_fields)
    discriminator, kinds = _tagged(_annotation_at(root, place[:-1]))
    if others := [tag for tag, kind in kinds.items() if key in kind.model_fields]:
        return f"belongs to '{discriminator}: {' or '.join(others)}'; remove it"
    if near := difflib.get_close_matches(str(key), known, n=1, cutoff=0.5):
        return f"unknown key; did you mean '{near[0]}'?"
    return f"unknown key; known here are {', '.join(sorted(known))}"


def _as_written(root: type[BaseModel], loc: tuple[int | str, ...]) -> Iterator[int | str]:
    """Yield the keys of a place as they stand in the file: pydantic adds the tag of a section of several kinds."""
    for depth, part in enumerate(loc):
        if part == "[key]":  # pydantic: it is the key that is wrong, not its value
            continue
        if part not in _tagged(_annotation_at(root, loc[:depth]))[1]:
            yield part


def _annotation_at(root: type[BaseModel], loc: Iterable[int | str]) -> Any:
    """Return the type of the value at a place, without ``| None``; None where there is no such place."""
    annotation: Any = root.model_fields["root"].annotation if issubclass(root, RootModel) else root
    for part in loc:
        if kinds := _tagged(annotation)[1]:
            annotation = kinds.get(str(part))
        elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = field.annotation if field else None
            if field and field.discriminator:  # pydantic moves the metadata of a field's own Annotated to the field
                annotation = typing.Annotated[annotation, field]
        elif typing.get_args(annotation):  # dict[name, section] or list[section]
            annotation = typing.get_args(annotation)[-1]
        annotation = _without_none(annotation)
    return annotation


def _tagged(annotation: Any) -> tuple[str, dict[str, type[BaseModel]]]:
    """Return the key that tells the kinds of a section apart, and the kinds by its values; none for other types."""
    if typing.get_origin(annotation) is typing.Annotated:
        union, *metadata = typing.get_args(annotation)
        key = next((m.discriminator for m in metadata if getattr(m, "discriminator", None)), None)
        if key:
            kinds = typing.get_args(union)
            return key, {tag: k for k in kinds for tag in typing.get_args(k.model_fields[key].annotation)}
    return "", {}


def _without_none(annotation: Any) -> Any:
    """Strip ``| None``, and an ``Annotated`` that tells no kinds apart, off a type."""
    if typing.get_origin(annotation) is typing.Annotated and not _tagged(annotation)[1]:
        return _without_none(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return _without_none(next(a for a in typing.get_args(annotation) if a is not type(None)))
    return annotation


def _key(part: int | str) -> str:
    return part if isinstance(part, str) and re.fullmatch(r"[\w-]+", part) else _shown(part)


def _shown(value: Any) -> str:
    """Return a value in at most 60 characters, however deep or long it is."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python prints no number of more than 4300 digits
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 60 else text[:57] + "..."


def _type_hint(item: Any) -> str:
    if item["type"] in ("float_type", "int_type") and isinstance(item["input"], str):
        return " (text; YAML reads 1e-4 as text: write 1.0e-4)"
    if item["type"] == "string_type" and isinstance(item["input"], bool | int | float):
        return " (YAML reads 2007_000033 as a number, and yes as true: put text in quotes)"
    return ""
