"""Id lists: text files with one picture id per line, from an archive, a converter or a user's own file."""

import itertools
import re
from pathlib import Path

from segrepro.errors import UserError

# An id becomes a file name, so it must not hold a path.
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]*"


def parse_id_list(
    content: bytes, *, name: str, remedy: str = "use the official archive", may_be_empty: bool = False
) -> list[str]:
    """Return the ids of a list, sorted.

    Blank lines, blanks around an id, Windows' line ends and a byte order mark (editors add them) change nothing.

    Raises:
        UserError: the list is empty, no text, names an id twice, or has a line that is not one picture id (VOC's lists
            in ``ImageSets/Main`` have a second column). The message begins with ``name`` and ends with ``remedy``.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not a text file of picture ids ({error}); {remedy}.") from None
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip()]
    for number, picture in numbered:
        if not re.fullmatch(ID_PATTERN, picture):
            raise UserError(f"{name}: line {number}, {picture!r}, is no picture id; {remedy}.")
    if not numbered and not may_be_empty:
        raise UserError(f"{name}: the list is empty; {remedy}.")
    ids = sorted(picture for _, picture in numbered)
    for before, after in itertools.pairwise(ids):
        if before == after:
            raise UserError(f"{name}: picture '{after}' is listed twice; {remedy}.")
    return ids


def read_ids(path: Path, *, remedy: str = "convert the source again") -> list[str]:
    """Return the ids of a list file as `parse_id_list` does. It may be empty, as COCO-20 of few pictures is."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise UserError(f"{path}: no such id list; {remedy}.") from None
    return parse_id_list(content, name=str(path), remedy=remedy, may_be_empty=True)
