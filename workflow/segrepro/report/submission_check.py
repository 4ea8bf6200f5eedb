"""The mistakes that an archive for VOC's evaluation server can have, each with a file and a remedy.

Nothing is unpacked: members are read one by one, after `segrepro.data.archives` has checked them.
"""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from segrepro.data.archives import iter_files
from segrepro.data.masks import UNREADABLE_PICTURE, VOC_COLOURS, colour, stored_palette, wrong_colour
from segrepro.data.pictures import picture_size
from segrepro.errors import UserError
from segrepro.labels import VOC21, VOID
from segrepro.report.submission import COMPETITIONS, FOLDER, member_name
from segrepro.stores.manifests import read_manifest

MEMBER = re.compile(rf"{FOLDER}/comp([{''.join(map(str, COMPETITIONS))}])_test_cls/([^/]+)\.png")
TEST_PICTURES = 1456  # the segmentation test set of VOC 2012, as datasets.voc_test of config.yaml
GZIP_MAGIC = b"\x1f\x8b"
# VOC's pictures have at most 500 pixels a side; what is larger by far is not decoded.
MAX_PIXELS = 4_000_000

Size = tuple[int, int]


class Problems:
    """What is wrong with an archive: for each kind of mistake the first file, the number of files, and the remedy."""

    def __init__(self) -> None:
        self._count: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Note a mistake; of each kind only the first sentence is kept."""
        self._count[kind] += 1
        self._first.setdefault(kind, sentence)

    def lines(self) -> list[str]:
        """Return a sentence for each kind, in the order in which they were found."""
        return [
            sentence + (f" ({self._count[kind]} such files.)" if self._count[kind] > 1 else "")
            for kind, sentence in self._first.items()
        ]


def check_submission(
    archive: Path, manifest: Path | None = None, *, pictures: int | None = TEST_PICTURES
) -> tuple[int, int]:
    """Check an archive for the VOC server.

    Args:
        archive: the tar.gz.
        manifest: of the test pictures; without it neither ids nor sizes are checked, but their number.
        pictures: how many there must be where no manifest says it; None for any number.

    Returns:
        The competition (5 or 6) and the number of pictures.

    Raises:
        UserError: a line for each kind of mistake, naming the first file that makes it, how many do, and the remedy.
    """
    archive = Path(archive)
    sizes = _sizes(manifest) if manifest else None
    problems = Problems()
    _check_gzip(archive)
    found: set[str] = set()
    competitions: set[int] = set()
    try:
        for name, content in iter_files(archive, lambda name: True):
            place = MEMBER.fullmatch(name)
            if place is None:
                _wrong_place(name, problems)
                continue
            competitions.add(int(place[1]))
            if _is_known(place[2], name, sizes, found, problems):
                _check_picture(name, content, sizes[place[2]] if sizes else None, problems)
        _check_ids(found, sizes, competitions, problems)
        if sizes is None and pictures is not None:
            _check_number(len(found), pictures, problems)
    except UserError as error:  # hostile or damaged; what it holds beyond is not looked at
        reason = str(error).rsplit(";", 1)[0].removeprefix(f"{archive}: ")
        problems.add("refused", f"{reason}; pack plain files again, with `segrepro submission` say.")
    if lines := problems.lines():
        raise UserError("\n".join(f"{archive}: {line}" for line in lines))
    return competitions.pop(), len(found)


def _sizes(manifest: Path) -> dict[str, Size]:
    """Return the (width, height) of each picture of a manifest."""
    return {example.id: picture_size(example.image) for example in read_manifest(manifest)}


def _check_gzip(archive: Path) -> None:
    try:
        with archive.open("rb") as stream:
            magic = stream.read(len(GZIP_MAGIC))
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror}); give the archive to check.") from None
    if magic != GZIP_MAGIC:
        raise UserError(f"{archive}: is not compressed by gzip; make it by `tar -czf results.tar.gz results`.")


def _wrong_place(name: str, problems: Problems) -> None:
    expected = member_name("<id>", COMPETITIONS[-1])
    problems.add("place", f"{name}: no such file belongs in it; pack answers only, as {expected} (or comp5).")


def _is_known(picture: str, name: str, sizes: dict[str, Size] | None, found: set[str], problems: Problems) -> bool:
    """Note a picture; say whether it is one that is asked for, for the first time."""
    if picture in found:
        problems.add("both", f"{name}: this picture is answered in both competitions; keep one folder.")
        return False
    found.add(picture)
    if sizes is not None and picture not in sizes:
        problems.add("extra", f"{name}: '{picture}' is no test picture; remove it.")
        return False
    return True


def _check_ids(found: set[str], sizes: dict[str, Size] | None, competitions: set[int], problems: Problems) -> None:
    if not found:
        expected = member_name("<id>", COMPETITIONS[-1])
        problems.add("empty", f"holds no answer; pack files named {expected}.")
    elif len(competitions) > 1:
        problems.add("competitions", "has answers of comp5 and of comp6; send one archive for each.")
    missing = sorted(sizes.keys() - found) if sizes else []
    for picture in missing:
        problems.add("missing", f"{picture}.png: the answer for this test picture is missing; predict all of them.")


def _check_number(found: int, asked: int, problems: Problems) -> None:
    if found not in (0, asked):  # an empty archive has been noted
        problems.add(
            "number",
            f"holds {found:,} answers where the test set of VOC 2012 has {asked:,} pictures; predict all of them, or "
            "give --manifest (or --other-pictures) where others are meant.",
        )


def _check_picture(name: str, content: bytes, size: Size | None, problems: Problems) -> None:
    try:
        with Image.open(io.BytesIO(content)) as picture:
            if picture.format != "PNG":
                problems.add("format", f"{name}: is a {picture.format} and no PNG; save answers as palette PNG.")
                return
            if size is not None and picture.size != size:
                mine, asked = (f"{width} x {height}" for width, height in (picture.size, size))
                problems.add(
                    "size", f"{name}: is {mine} pixels, its picture {asked}; answer at the picture's own size."
                )
            if picture.width * picture.height > MAX_PIXELS:
                problems.add("huge", f"{name}: is far larger than any test picture; answer at the picture's own size.")
                return
            if picture.mode != "P":
                _wrong_mode(name, picture.mode, problems)
                return
            palette = stored_palette(picture)
            labels = np.array(picture)
    except UNREADABLE_PICTURE as error:
        problems.add("damaged", f"{name}: cannot be read ({error}); make it again.")
        return
    _check_labels(name, labels, palette, problems)


def _wrong_mode(name: str, mode: str, problems: Problems) -> None:
    what = {"L": "grey levels", "RGB": "RGB colours", "RGBA": "RGB colours with transparency"}.get(mode, f"mode {mode}")
    problems.add(f"mode {mode}", f"{name}: holds {what} instead of a palette; save it as palette PNG, index = label.")


def _check_labels(name: str, labels: np.ndarray, palette: np.ndarray, problems: Problems) -> None:
    """Check that the indices are labels, and that the palette is VOC's for those that are used."""
    used = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    highest = VOC21.used_labels[-1]
    if VOID in used:
        problems.add("void", f"{name}: answers {VOID} (void); give every pixel a label of 0 to {highest}.")
    strangers = [int(label) for label in used if highest < label < VOID]
    if strangers:
        problems.add("label", f"{name}: answers {strangers[0]}; labels are 0 to {highest}, background is 0.")
    if stranger := wrong_colour(used[used <= highest], palette, VOC_COLOURS):
        index, own = stranger
        problems.add(
            "palette",
            f"{name}: index {index} has the colour {own} and not VOC's {colour(VOC_COLOURS, index)}; an adaptive "
            "palette renumbers the labels: write the labels as indices, with VOC's palette.",
        )
