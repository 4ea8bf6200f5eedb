"""What the readers of VOC and SBD share: from an archive to a dataset folder, and comparing two annotations."""

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segrepro.data.archives import iter_files
from segrepro.data.id_lists import ID_PATTERN, parse_id_list
from segrepro.data.masks import check_size, write_mask
from segrepro.data.parallel import map_in_processes, progress_bar
from segrepro.data.pictures import JPEG_MODES, opened_picture
from segrepro.errors import UserError
from segrepro.files import atomic_directory, ids_sha256, write_json
from segrepro.labels import BACKGROUND, VOID

# Two annotations of one picture agree when at least this share of their object pixels is equal. Two drawings of
# the same objects share nearly all; a shifted label set or the files of another picture share few or none.
MIN_AGREEMENT = 0.5

# Share of the pictures whose annotations may disagree before the whole archive is refused. Annotations are
# hand-made, so a few slips in VOC's 2,913 or SBD's 11,355 pictures must not stop a run (in 3 of the 659 pictures of
# the real subset a person of less than 100 pixels is in the mask and not in the XML). A label set that is shifted,
# or files that belong to other pictures, disagree nearly everywhere: anything in between would do.
MAX_DISAGREEING_SHARE = 0.05


@dataclass(frozen=True)
class Layout:
    """Where the archive of a source keeps what, below its ``root``."""

    name: str  # of the source, for progress bars
    root: str
    lists: tuple[str, ...]  # paths of the id lists, without .txt
    suffixes: Mapping[str, str]  # folders of a picture's files, and how each file ends
    official: str  # the archive to use, for messages


@dataclass(frozen=True)
class PictureFiles:
    """One picture whose files lie in ``unpacked``, not yet checked; all methods refuse what is wrong with them by name.

    Masks and pictures go to ``folder``, the dataset folder.
    """

    id: str
    archive: Path
    layout: Layout
    unpacked: Path
    folder: Path

    def path(self, kind: str) -> Path:
        """Return the file of the archive's folder ``kind``; refuse an archive that has none."""
        path = self.unpacked / kind / f"{self.id}.{self.layout.suffixes[kind]}"
        if not path.exists():
            raise UserError(
                f"{self.member(kind)}: missing, though a list names picture '{self.id}'; "
                "the archive is not whole: get it again."
            )
        return path

    def member(self, kind: str) -> str:
        """Return what messages call that file."""
        return f"{self.archive}: {self.layout.root}/{kind}/{self.id}.{self.layout.suffixes[kind]}"

    def take_picture(self, kind: str) -> tuple[int, int]:
        """Check the picture, move it to the dataset folder, and return its width and height in pixels."""
        picture = self.path(kind)
        size, _ = check_picture(picture.read_bytes(), name=self.member(kind))
        picture.replace(self.folder / "images" / picture.name)
        return size

    def write_masks(self, masks: dict[str, tuple[str, np.ndarray]], size: tuple[int, int]) -> None:
        """Write masks of ``size`` (width, height); by the folder that they go to: that of the archive, and the mask."""
        for kind, mask in masks.values():
            check_size(mask, *size, name=self.member(kind))
        for name, (_, mask) in masks.items():
            write_mask(self.folder / name / f"{self.id}.png", mask)


def convert_archive(
    archive: Path,
    out: Path,
    layout: Layout,
    convert: Callable[[PictureFiles], Any],
    summarise: Callable[[list[str], list[Any]], dict[str, int]],
    *,
    threads: int,
) -> dict[str, Any]:
    """Convert the listed pictures of an archive to a dataset folder, which appears whole or not at all.

    ``convert`` checks and writes one picture's files, in a process; ``summarise`` makes counts for the summary of the
    ids, sorted, and of what ``convert`` returned for each. Returns the summary, as `write_summary` does.
    """
    with atomic_directory(out) as folder, tempfile.TemporaryDirectory(dir=folder, prefix=".unpacked-") as tmp:
        lists = _read_lists(archive, layout)
        ids = sorted(set().union(*lists.values()))
        unpacked = Path(tmp)
        folders = ("images", "masks", "instances") if len(layout.suffixes) > 1 else ("images",)  # a test set's
        for path in [*(folder / name for name in folders), *(unpacked / kind for kind in layout.suffixes)]:
            path.mkdir()
        _unpack(archive, layout, set(ids), unpacked)
        tasks = (PictureFiles(id, archive, layout, unpacked, folder) for id in ids)
        findings = map_in_processes(convert, tasks, threads=threads, label=layout.name, total=len(ids))
        return write_summary(folder, lists, {"pictures": len(ids)} | summarise(ids, findings))


def _read_lists(archive: Path, layout: Layout) -> dict[str, list[str]]:
    members = {f"{layout.root}/{path}.txt": Path(path).name for path in layout.lists}
    lists = {
        members[member]: parse_id_list(content, name=f"{archive}: {member}")
        for member, content in iter_files(archive, members.__contains__)
    }
    for member, name in members.items():
        if name not in lists:
            raise UserError(f"{archive}: has no member {member}; use {layout.official}.")
    return lists


def _unpack(archive: Path, layout: Layout, ids: set[str], unpacked: Path) -> None:
    """Unpack the files of these pictures to folders of their kinds."""
    pattern = re.compile(rf"{layout.root}/({'|'.join(layout.suffixes)})/({ID_PATTERN})\.(\w+)")

    def destination(member: str) -> Path | None:
        kind, id, suffix = match.groups() if (match := pattern.fullmatch(member)) else (None, None, None)
        return unpacked / kind / f"{id}.{suffix}" if id in ids and suffix == layout.suffixes[kind] else None

    with progress_bar(f"{layout.name}: unpacking", unit="files") as bar:
        for name, content in iter_files(archive, lambda name: destination(name) is not None):
            destination(name).write_bytes(content)
            bar.update()


def write_summary(folder: Path, lists: dict[str, list[str]], counts: dict[str, int]) -> dict[str, Any]:
    """Write ``<folder>/lists/<list>.txt``, ids sorted, one per line, and ``<folder>/summary.json``, which is returned.

    The summary has the counts, and the number of pictures and the id hash (`segrepro.files.ids_sha256`) of each list.
    """
    (folder / "lists").mkdir()
    for name, ids in lists.items():
        (folder / "lists" / f"{name}.txt").write_text("".join(f"{id}\n" for id in sorted(ids)), encoding="ascii")
    hashes = {name: {"pictures": len(ids), "ids_sha256": ids_sha256(ids)} for name, ids in lists.items()}
    summary = counts | {"lists": hashes}
    write_json(folder / "summary.json", summary)
    return summary


def check_picture(
    content: bytes, *, name: str, modes: Mapping[str, tuple[str, ...]] = JPEG_MODES
) -> tuple[tuple[int, int], str]:
    """Decode a picture wholly and return its width and height in pixels, as stored, and its format, one of ``modes``.

    An EXIF orientation is not applied: VOC's and COCO's masks belong to the pixels as stored. A damaged or truncated
    picture, or one of another format or mode (one for print, say), is refused.
    """
    with opened_picture(content, name, damaged="the picture cannot be read ({fault}); get its archive again") as opened:
        kind, mode, size = opened.format, opened.mode, opened.size
        opened.load()
    if kind not in modes:
        wanted = "JPEG or PNG" if "PNG" in modes else "JPEG"
        raise UserError(f"{name}: the picture is a {kind}, not a {wanted}; use the official archive.")
    if mode not in modes[kind]:
        raise UserError(
            f"{name}: the picture is of mode {mode}, and only colour (RGB) and grey ones are published; "
            "use the official archive."
        )
    return size, kind


def object_pixels(mask: np.ndarray) -> np.ndarray:
    """Return where a mask or an instance mask has an object: bool, neither background nor void."""
    return (mask != BACKGROUND) & (mask != VOID)


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of the object pixels of either mask that are equal in both; 1 where there are none."""
    pixels = np.count_nonzero(object_pixels(first) | object_pixels(second))
    equal = np.count_nonzero((first == second) & object_pixels(first))
    return equal / pixels if pixels else 1.0


def refuse_disagreement(archive: Path, what: str, disagreeing: list[str], compared: int) -> None:
    """Refuse an archive of which more than `MAX_DISAGREEING_SHARE` of the compared pictures disagree in ``what``."""
    if len(disagreeing) > MAX_DISAGREEING_SHARE * compared:
        raise UserError(
            f"{archive}: {len(disagreeing)} of {compared} {what} (first: {min(disagreeing)}); the labels are "
            "shifted or the files belong to other pictures: use the official archive."
        )
