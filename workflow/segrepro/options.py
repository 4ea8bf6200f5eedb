"""The options of verbs: paths that are read or written, numbers in a range, words of a list, and whole sections.

A setting is declared once, as a field of a `Section`. `add_options` makes the options of a verb from a section,
`section_of` makes the section again from what a command gives, and `as_options` writes the command that gives it.

Each option has a kind, its argparse ``type``. By it, `check_values` and `segrepro.outputs` refuse what cannot be used
before any work is done, with the same sentences for every verb.
"""

from __future__ import annotations

import argparse
import math
import shlex
import types
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from segrepro.errors import UserError

if TYPE_CHECKING:  # pydantic takes a quarter of a second, and `segrepro --help` needs none
    from pydantic.fields import FieldInfo

    from segrepro.schema import Section


@dataclass(frozen=True)
class PathKind:
    """A path; ``~`` at its start is the user's home, as shells have it."""

    def __call__(self, text: str) -> Path:
        """Return the path that an argument names."""
        if not text.strip():
            raise argparse.ArgumentTypeError("the name is empty; give the name of a file or folder")
        return with_home(text)


@dataclass(frozen=True)
class Input(PathKind):
    """A file or folder that is read; the verb itself says what is wrong with it."""


@dataclass(frozen=True)
class OutputFile(PathKind):
    """A file that is written, in place of a former one."""

    endings: tuple[str, ...] = ()  # which its name may have; none: any
    beside: tuple[str, ...] = ()  # endings of further files that are written beside it


@dataclass(frozen=True)
class OutputFolder(PathKind):
    """A folder that is written as a whole, in place of a former one of the same kind."""

    what: str  # how messages call it, e.g. "dataset folder"
    mark: str  # a file that tells such a folder
    entries: tuple[str, ...]  # patterns of all that may be in it; anything else is the user's


@dataclass(frozen=True)
class SharedFolder(PathKind):
    """A folder that is written into; what else is in it stays."""

    replaced: tuple[str, ...] = ()  # folders in it that are written as a whole
    mark: str = ""  # a file in it that tells that these are the verb's own


@dataclass(frozen=True)
class Number:
    """A number within a range; nan is in none."""

    kind: type  # int or float
    least: float = -math.inf
    most: float = math.inf
    above: bool = False  # whether ``least`` itself is refused
    below: bool = False  # whether ``most`` itself is refused

    def __call__(self, text: str) -> Any:
        """Return the number that an argument says, in the range or not."""
        try:
            return self.kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is not {self.wanted}") from None

    def __contains__(self, value: Any) -> bool:
        low = value > self.least if self.above else value >= self.least
        high = value < self.most if self.below else value <= self.most
        return low and high and math.isfinite(value)

    @property
    def wanted(self) -> str:
        """What to give, in words."""
        noun = "a whole number" if self.kind is int else "a number"
        low, high = f"{self.least:.15g}", f"{self.most:.15g}"
        if math.isfinite(self.least) and math.isfinite(self.most):
            ends = f"above {low}" if self.above else f"from {low}"
            return f"{noun} {ends} {'and below' if self.below else 'to'} {high}"
        if math.isfinite(self.least):
            return f"{noun} above {low}" if self.above else f"{noun}, {low} or more"
        return noun


@dataclass(frozen=True)
class Choice:
    """One of some words or numbers."""

    values: tuple[Any, ...]

    def __call__(self, text: str) -> Any:
        """Return the value that an argument says; the argument itself where it says none."""
        return next((value for value in self.values if str(value) == text), text)

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    @property
    def wanted(self) -> str:
        """What to give, in words."""
        *first, last = map(str, self.values)
        return f"{', '.join(first)} or {last}" if first else last


INPUT, OUTPUT = Input(), OutputFile()
ARRAYS = OutputFile(endings=(".npz",))  # numpy gives it to any other name as a second ending
MODEL = OutputFile(endings=(".keras",))  # Keras writes no other
FIGURE = OutputFile(endings=(".png", ".pdf", ".svg"))
TABLE = OutputFile(endings=(".csv", ".md", ".tex"))
DATASET_FOLDER = OutputFolder(
    "dataset folder", "summary.json", ("summary.json", "pictures.csv", "images", "masks*", "instances", "lists")
)
SHARED_FOLDER = SharedFolder()

MOST = 2**31 - 1  # products of two such numbers fit what TensorFlow and HDF5 count with
SEED = Number(int, 0, MOST)
COUNT = Number(int, 0, MOST)
POSITIVE = Number(int, 1, MOST)


def with_home(text: str) -> Path:
    """Return a path in which ``~`` or ``~user`` at the start has become that user's home, where there is one."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # nobody is called so: it is a name like any other
        return path


def given(parser: argparse.ArgumentParser, args: argparse.Namespace, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what was given for the options of a kind: option, its kind, and each value."""
    for action in parser._actions:
        if isinstance(action.type, kind):
            value = getattr(args, action.dest, None)
            for item in value if isinstance(value, list | tuple) else [value]:
                if item is not None:
                    yield action.option_strings[0] if action.option_strings else action.dest, action.type, item


def check_values(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse a number out of its option's range, and a word that is none of its words."""
    for option, kind, value in given(parser, args, Number | Choice):
        if value not in kind:
            raise UserError(f"{option} is {value}; give {kind.wanted}.")


AnySection = TypeVar("AnySection", bound="Section")


def add_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, section: type[Section], leave_out: Collection[str] = ()
) -> None:
    """Declare an option for each field of a section, with its range, default and description.

    A flag has ``--no-``, a list takes any number of values. A field without a default is required. Left out are fields
    that the verb takes in another way, or not at all.
    """
    for name, field in _fields(section, leave_out):
        kind, is_list = _kind_of(field.annotation, field.metadata)
        required, value = field.is_required(), None if field.is_required() else field.default
        text = (field.description or "").replace("%", "%%").replace("null:", "not given:")
        if value is not None:
            text += f" (default: {' '.join(map(str, value)) if is_list else value})"
        how = {"required": required, "default": value, "help": text.strip()}
        if kind is bool:
            how["action"] = argparse.BooleanOptionalAction
        else:
            how |= {"type": kind, "metavar": _metavar(kind)} | ({"nargs": "*"} if is_list else {})
        parser.add_argument(option_of(name), **how)


def section_of(args: argparse.Namespace, section: type[AnySection], **given: Any) -> AnySection:
    """Return the section that a command gives, by the options of `add_options`; ``given`` are fields without an option.

    Raises:
        UserError: the values do not go together; says so of the options.
    """
    from pydantic import ValidationError

    from segrepro.schema import explain

    values = {name: getattr(args, name) for name in section.model_fields if getattr(args, name, None) is not None}
    try:
        return section.model_validate(values | given)
    except ValidationError as error:
        told = [sentence.partition(":") for sentence in explain(error, section)]
        raise UserError(" ".join(f"{option_of(key)}:{rest.rstrip('.')}." for key, _, rest in told)) from None


def as_options(section: Section, leave_out: Collection[str] = ()) -> str:
    """Return the options that give a section, for a shell: every key, so that none depends on a verb's default.

    A key that is null has no option: null is its default (a test holds that).
    """
    words = []
    for name, _ in _fields(type(section), leave_out):
        option, value = option_of(name), getattr(section, name)
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option.removeprefix('--')}")
        elif value is not None:
            words += [option, *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def option_of(name: str) -> str:
    """Return the option that sets a field."""
    return "--" + name.replace("_", "-")


def _fields(section: type[Section], leave_out: Collection[str]) -> Iterator[tuple[str, FieldInfo]]:
    yield from ((name, field) for name, field in section.model_fields.items() if name not in leave_out)


def _kind_of(annotation: Any, metadata: Sequence[Any] = ()) -> tuple[Any, bool]:
    """Return the kind of an option that sets a field of a type, and whether it takes several values."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind_of(
            inner[0], [*metadata, *(bound for each in inner[1:] for bound in getattr(each, "metadata", [each]))]
        )
    if origin in (Union, types.UnionType) and len(inner) == 2 and types.NoneType in inner:
        return _kind_of(next(each for each in inner if each is not types.NoneType), metadata)
    if origin is list:
        return _kind_of(inner[0])[0], True
    if origin is Literal:
        return Choice(inner), False
    if annotation in (int, float):
        return _number(annotation, metadata), False
    if annotation in (bool, str):
        return annotation, False
    raise TypeError(f"a field of type {annotation} has no option; leave it out")


def _number(kind: type, metadata: Sequence[Any]) -> Number:
    """Return the range of a field: of whole numbers, with both ends in it."""
    ends = {key: getattr(m, key) for m in metadata for key in ("gt", "ge", "lt", "le") if hasattr(m, key)}
    above, below = "gt" in ends, "lt" in ends
    least, most = ends.get("gt", ends.get("ge", -math.inf)), ends.get("lt", ends.get("le", math.inf))
    if kind is int:
        return Number(int, least + above, most - below)
    return Number(float, least, most, above, below)


def _metavar(kind: Any) -> str:
    if isinstance(kind, Choice):
        return "{" + ",".join(map(str, kind.values)) + "}"
    return {int: "N", float: "X"}[kind.kind] if isinstance(kind, Number) else "NAME"
