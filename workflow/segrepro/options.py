"""What the options of verbs are: paths that are read or written, and numbers in a range.

A verb declares the kind of an option as its argparse ``type``. By it, `check_options` and `segrepro.outputs` refuse
what cannot be used before any work is done, with the same sentences for every verb.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segrepro.errors import UserError

if TYPE_CHECKING:
    from segrepro.config.types import Section


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
    """A file that is written, in place of a former one.

    Attributes:
        endings: which its name may have; none: any.
        beside: endings of further files that are written beside it.
    """

    endings: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputFolder(PathKind):
    """A folder that is written as a whole, in place of a former one of the same kind.

    Attributes:
        what: how messages call it, e.g. "dataset folder".
        mark: a file that tells such a folder.
        entries: patterns of all that may be in it; anything else is the user's.
    """

    what: str
    mark: str
    entries: tuple[str, ...]


@dataclass(frozen=True)
class SharedFolder(PathKind):
    """A folder that is written into; what else is in it stays.

    Attributes:
        replaced: folders in it that are written as a whole.
        mark: a file in it that tells that these are the verb's own.
    """

    replaced: tuple[str, ...] = ()
    mark: str = ""


@dataclass(frozen=True)
class Number:
    """A number within a range; nan is in none.

    Attributes:
        kind: int or float.
        least: smallest number allowed, or with ``above`` the largest that is too small.
        most: largest number allowed, or with ``below`` the smallest that is too large.
        above: whether ``least`` itself is refused.
        below: whether ``most`` itself is refused.
    """

    kind: type
    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    below: bool = False

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


INPUT, OUTPUT = Input(), OutputFile()
ARRAYS = OutputFile(endings=(".npz",))  # numpy gives it to any other name as a second ending
MODEL = OutputFile(endings=(".keras",))  # Keras writes no other
FIGURE = OutputFile(endings=(".png", ".pdf", ".svg"))
DATASET_FOLDER = OutputFolder(
    "dataset folder", "summary.json", ("summary.json", "pictures.csv", "images", "masks*", "instances", "lists")
)
SHARED_FOLDER = SharedFolder()

MOST = 2**31 - 1  # products of two such numbers fit what TensorFlow and HDF5 count with
SEED = Number(int, 0, MOST)
COUNT = Number(int, 0, MOST)
POSITIVE = Number(int, 1, MOST)
BYTES = Number(int, 0, 2**63 - 1)
SHARE = Number(float, 0, 1)
INNER_SHARE = Number(float, 0, 1, above=True, below=True)
ABOVE_0_TO_1 = Number(float, 0, 1, above=True)
NOT_NEGATIVE = Number(float, 0)
FACTOR = Number(float, 0, above=True)
# A picture of 500 pixels a side becomes one of a pixel, or takes hundreds of GB: nothing beyond is meant.
SCALE = Number(float, 0.01, 100)
# Widths and weights of a CRF's kernels: below 1e-5, pydensecrf's lattice overflows and ends the process; weights above
# 1e38 give nan.
KERNEL_WIDTH = Number(float, 0.01, 1000)
KERNEL_WEIGHT = Number(float, 0, 10_000)
HARD_PROBABILITY = Number(float, 0.5, 1, above=True, below=True)


def with_home(text: str) -> Path:
    """Return a path in which ``~`` or ``~user`` at the start has become that user's home, where there is one."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:  # nobody is called so: it is a name like any other
        return path


def given(parser: argparse.ArgumentParser, args: argparse.Namespace, kind: type) -> Iterator[tuple[str, Any, Any]]:
    """Yield what was given for the options of a kind: option, its kind, and each value."""
    for action in parser._actions:
        if isinstance(action.type, kind):
            value = getattr(args, action.dest, None)
            for item in value if isinstance(value, list | tuple) else [value]:
                if item is not None:
                    yield action.option_strings[0] if action.option_strings else action.dest, action.type, item


def check_numbers(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Check the numbers that a command gives.

    Raises:
        UserError: one is out of its option's range.
    """
    for option, kind, value in given(parser, args, Number):
        if value not in kind:
            raise UserError(f"{option} is {value}; give {kind.wanted}.")


def as_options(section: Section, leave_out: Sequence[str] = ()) -> str:
    """Return the command-line options that say what a section of the config sets otherwise than by default."""
    options = []
    for key, value in section.model_dump(exclude_defaults=True).items():
        if key in leave_out:
            continue
        name = key.replace("_", "-")
        if value is False:
            options.append(f"--no-{name}")
        else:
            values = [] if value is True else value if isinstance(value, list) else [value]
            options += [f"--{name}", *map(str, values)]
    return " ".join(options)
