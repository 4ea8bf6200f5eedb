"""The places that a command writes to, looked at before the work, so that nothing of the user's is lost.

A file is replaced by a file, and a folder only if it is empty or the verb wrote it. No output names an input, another
output, or holds one; none is the current folder or the home. Links are followed first.
"""

import argparse
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from segrepro.errors import UserError
from segrepro.files import LONGEST_ADDITION, real_path
from segrepro.options import Input, OutputFile, OutputFolder, PathKind, SharedFolder, given

# What file managers, NFS and Snakemake leave in a folder, and temporary files of killed processes.
DROPPINGS = (".snakemake_timestamp", ".DS_Store", "Thumbs.db", "desktop.ini", ".nfs*", ".*.partial*")


@dataclass(frozen=True)
class Place:
    """A file or folder that a command names by an option."""

    option: str
    path: Path  # as it was named
    whole: bool = False  # a folder that is written as a whole
    shared: bool = False  # a folder that other things may be in

    @cached_property
    def real(self) -> Path:
        """The path without links."""
        return real_path(self.path)

    def __str__(self) -> str:
        return f"{self.option} {self.path}"

    def is_of(self, other: "Place") -> bool:
        """Say whether both are the same file or folder."""
        if self.real == other.real:
            return True
        return self.real.exists() and other.real.exists() and self.real.samefile(other.real)


def check_paths(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse outputs of a command by which something would be lost, or which cannot be written."""
    inputs = [Place(option, path) for option, _, path in given(parser, args, Input)]
    outputs: list[Place] = []
    for option, kind, path in given(parser, args, PathKind):
        if not isinstance(kind, Input):
            outputs += _places(option, path, kind)
    for number, output in enumerate(outputs):
        for other in inputs:
            if output.is_of(other) and not output.shared:
                raise UserError(f"{output} is what {other.option} reads, and would be lost; name another place.")
            if output.whole and other.real.is_relative_to(output.real):
                raise UserError(f"{output} holds what {other} reads, and would be replaced; name another folder.")
        for other in outputs[:number]:
            if output.is_of(other):
                raise UserError(f"{output} is the same place as {other}; give each output a name of its own.")
            for outer, inner in ((output, other), (other, output)):
                if outer.whole and inner.real.is_relative_to(outer.real):
                    raise UserError(f"{inner} lies in {outer}, which is written as a whole; name another place.")
                if not outer.whole and not outer.shared and outer.real in inner.real.parents:
                    raise UserError(f"{inner} lies in {outer}, which is no folder; name another place.")


def _places(option: str, path: Path, kind: PathKind) -> list[Place]:
    """Return the places that an output is written to, each of which can be."""
    match kind:
        case OutputFile():
            if kind.endings and path.suffix not in kind.endings:
                raise UserError(f"{option} {path}: the name must end in {' or '.join(kind.endings)}.")
            places = [Place(option, each) for each in [path, *map(path.with_suffix, kind.beside)]]
            for place in places:
                _check_file(place)
            return places
        case OutputFolder():
            place = Place(option, path, whole=True)
            _check_folder(place)
            if strangers := _strangers(place.real, kind):
                raise UserError(
                    f"{place} is there already and {strangers}; it would be replaced as a whole. Name another folder."
                )
            return [place]
        case SharedFolder():
            place = Place(option, path, shared=True)
            _check_folder(place)
            return [place, *_replaced(place, kind)]
    raise TypeError(f"{option}: {kind} is no output")


def _replaced(folder: Place, kind: SharedFolder) -> list[Place]:
    places = []
    for name in kind.replaced:
        place = Place(folder.option, folder.path / name, whole=True)
        _check_folder(place)
        if not (folder.real / kind.mark).is_file() and place.real.is_dir() and any(place.real.iterdir()):
            raise UserError(
                f"{place} is there already and nothing tells that this command wrote it ({kind.mark} is missing); "
                "it would be replaced as a whole. Name another folder."
            )
        places.append(place)
    return places


def _check_file(place: Place) -> None:
    _check_parents(place)
    if place.real.is_dir():
        raise UserError(f"{place} is a folder; give the name of a file.")
    if place.real.exists() and not stat.S_ISREG(place.real.stat().st_mode):
        raise UserError(f"{place} is a device or pipe, which a file would replace; give the name of a file.")


def _check_folder(place: Place) -> None:
    _check_parents(place)
    if place.real.exists() and not place.real.is_dir():
        raise UserError(f"{place} is a file: give {place.option} a folder.")
    if place.real.is_dir() and not os.access(place.real, os.W_OK | os.X_OK):
        raise UserError(f"{place} cannot be written to; make it writable, or name another place.")
    if not place.whole:
        return
    # Not Path.home, which raises where the user has none (containers).
    for name, folder in (("the current folder", Path.cwd()), ("your home", Path("~"))):
        if real_path(Path(os.path.expanduser(folder))).is_relative_to(place.real):  # noqa: PTH111
            raise UserError(f"{place} is or holds {name} and would be replaced as a whole; name another folder.")
    if os.path.ismount(place.real):
        raise UserError(f"{place} is where a disk is mounted; name a folder on that disk.")


def _check_parents(place: Place) -> None:
    """Refuse a place whose folder cannot be made or written to, or whose name is too long for a temporary one."""
    there = place.real.parent
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{place}: {there} is not a folder; name another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{place}: {there} cannot be written to; make it writable, or name another place.")
    longest = os.pathconf(there, "PC_NAME_MAX")
    for part in place.real.relative_to(there).parts:
        length, room = len(os.fsencode(part)), longest - LONGEST_ADDITION
        if length > room:
            raise UserError(f"{place}: a name in it has {length} bytes; give one of at most {room}.")
    if place.path.is_symlink():
        with suppress(FileNotFoundError):  # a link to nothing leads to a file to be
            place.path.stat()  # raises for one that leads back to itself


def _strangers(folder: Path, kind: OutputFolder) -> str:
    """Say by what a folder tells that it is not one that the verb wrote; empty where it may be replaced."""
    if not folder.is_dir():
        return ""
    names = sorted(entry.name for entry in folder.iterdir())
    names = [name for name in names if not any(fnmatch(name, pattern) for pattern in DROPPINGS)]
    if names and kind.mark not in names:
        return f"is no {kind.what} ({kind.mark} is missing)"
    strange = [name for name in names if not any(fnmatch(name, pattern) for pattern in kind.entries)]
    return f"holds {strange[0]}, which belongs to no {kind.what}" if strange else ""
