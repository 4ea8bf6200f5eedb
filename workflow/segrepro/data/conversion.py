"""What the readers of VOC and SBD share: unpacking, pictures, and comparing two annotations of one picture."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.data.archives import iter_files
from segrepro.data.masks import check_size, write_mask
from segrepro.data.parallel import progress_bar
from segrepro.data.pictures import JPEG_MODES, opened_picture
from segrepro.errors import UserError
from segrepro.files import ids_sha256
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
class PictureFiles:
    """One picture whose files are unpacked and not yet checked.

    Attributes:
        id: the picture's id.
        archive: what it comes from.
        root: of the dataset in the archive.
        suffixes: the archive's folders of a picture's files, and how each file ends.
        unpacked: where they are, in folders of the same names.
        folder: the dataset folder that is written.
    """

    id: str
    archive: Path
    root: str
    suffixes: Mapping[str, str]
    unpacked: Path
    folder: Path

    def path(self, kind: str) -> Path:
        """Return the file of the archive's folder ``kind``.

        Raises:
            UserError: the archive has none.
        """
        path = self.unpacked / kind / f"{self.id}.{self.suffixes[kind]}"
        if not path.exists():
            raise UserError(
                f"{self.member(kind)}: missing, though a list names picture '{self.id}'; "
                "the archive is not whole: get it again."
            )
        return path

    def member(self, kind: str) -> str:
        """Return how messages call that file."""
        return f"{self.archive}: {self.root}/{kind}/{self.id}.{self.suffixes[kind]}"

    def take_picture(self, kind: str) -> tuple[int, int]:
        """Check the picture, move it to the dataset folder, and return its width and height in pixels.

        Raises:
            UserError: it is missing, damaged or of another format.
        """
        picture = self.path(kind)
        size, _ = check_picture(picture.read_bytes(), name=self.member(kind))
        picture.replace(self.folder / "images" / picture.name)
        return size

    def write_masks(self, masks: dict[str, tuple[str, np.ndarray]], size: tuple[int, int]) -> None:
        """Write masks to the dataset folder.

        Args:
            masks: by the folder that they go to: the archive's folder that they are of, and the mask.
            size: width and height in pixels that all must have.

        Raises:
            UserError: one has another size.
        """
        for kind, mask in masks.values():
            check_size(mask, *size, name=self.member(kind))
        for name, (_, mask) in masks.items():
            write_mask(self.folder / name / f"{self.id}.png", mask)


def write_id_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    """Write ``<folder>/<list>.txt`` for each list: its ids sorted, one a line."""
    folder.mkdir(exist_ok=True)
    for name, ids in lists.items():
        text = "".join(f"{picture}\n" for picture in sorted(ids))
        (folder / f"{name}.txt").write_text(text, encoding="ascii")


def list_summary(lists: dict[str, list[str]]) -> dict[str, dict[str, int | str]]:
    """Return count and id hash (`segrepro.files.ids_sha256`) of each list, for a folder's summary.json."""
    return {name: {"pictures": len(ids), "ids_sha256": ids_sha256(ids)} for name, ids in lists.items()}


def unpack(archive: Path, destination: Callable[[str], Path | None], *, label: str) -> None:
    """Write the wanted files of an archive, each where ``destination`` says.

    Args:
        archive: tar, tar.gz or zip.
        destination: gives the path for a member's name, None for members that are not wanted.
        label: what the progress bar says.

    Raises:
        UserError: the archive is missing, damaged or holds what no dataset holds.
    """
    with progress_bar(label, unit="files") as bar:
        for name, content in iter_files(archive, lambda name: destination(name) is not None):
            destination(name).write_bytes(content)
            bar.update()


def check_picture(
    content: bytes, *, name: str, modes: Mapping[str, tuple[str, ...]] = JPEG_MODES
) -> tuple[tuple[int, int], str]:
    """Decode a picture wholly and return its size as stored.

    An EXIF orientation is not applied: VOC's and COCO's masks belong to the pixels as stored.

    Args:
        content: the file's bytes.
        name: how messages call the picture.
        modes: the accepted formats and the modes of each, as Pillow calls them.

    Returns:
        Width and height in pixels, and the format.

    Raises:
        UserError: the bytes are a damaged or truncated picture, or one of another format or mode (one for print, say).
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
    """Return the share of the object pixels of either array that are equal in both; 1 where there are none.

    Args:
        first: uint8 of shape (height, width).
        second: the same shape.
    """
    pixels = np.count_nonzero(object_pixels(first) | object_pixels(second))
    equal = np.count_nonzero((first == second) & object_pixels(first))
    return equal / pixels if pixels else 1.0


def refuse_disagreement(archive: Path, what: str, disagreeing: list[str], compared: int) -> None:
    """Refuse an archive of which more than `MAX_DISAGREEING_SHARE` of the compared pictures disagree.

    Args:
        archive: named in the message.
        what: the disagreement, as in ``"masks hold a class that their annotation does not name"``.
        disagreeing: ids of the pictures that disagree.
        compared: how many pictures were compared.

    Raises:
        UserError: too many disagree.
    """
    if len(disagreeing) > MAX_DISAGREEING_SHARE * compared:
        raise UserError(
            f"{archive}: {len(disagreeing)} of {compared} {what} (first: {min(disagreeing)}); the labels are "
            "shifted or the files belong to other pictures: use the official archive."
        )
