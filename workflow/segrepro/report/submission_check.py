"""The mistakes that an archive for VOC's evaluation server can have, each with a file and a remedy.

Nothing is unpacked: members are read one by one, after `segrepro.data.archives` has checked them.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segrepro.data.archives import iter_files
from segrepro.data.masks import VOC_COLOURS, colour, stored_palette, wrong_colour
from segrepro.data.pictures import opened_picture, picture_size
from segrepro.errors import UserError
from segrepro.labels import VOC21, VOID
from segrepro.report.submission import COMPETITIONS, FOLDER, member_name
from segrepro.stores.manifests import read_manifest

MEMBER = re.compile(rf"{FOLDER}/comp([{''.join(map(str, COMPETITIONS))}])_test_cls/([^/]+)\.png")
TEST_PICTURES = 1456  # the segmentation test set of VOC 2012, as datasets.voc_test of config.yaml
GZIP_MAGIC = b"\x1f\x8b"
# VOC's pictures have at most 500 pixels a side; what is larger by far is not decoded.
MAX_PIXELS = 4_000_000
NO_PALETTE = {"L": "grey levels", "RGB": "RGB colours", "RGBA": "RGB colours with transparency"}
HIGHEST = VOC21.used_labels[-1]
EXPECTED = member_name("<id>", COMPETITIONS[-1])

Mistake = tuple[str, str]  # its kind, and a sentence on the file that makes it


def check_submission(
    archive: Path, manifest: Path | None = None, *, pictures: int | None = TEST_PICTURES
) -> tuple[int, int]:
    """Check an archive for the VOC server; return the competition (5 or 6) and the number of pictures.

    Without a manifest of the test pictures neither ids nor sizes are checked, but their number; None for any number.

    Raises:
        UserError: a line for each kind of mistake, naming the first file that makes it, how many do, and the remedy.
    """
    archive = Path(archive)
    sizes = {example.id: picture_size(example.image) for example in read_manifest(manifest)} if manifest else None
    _check_gzip(archive)
    found: set[str] = set()
    competitions: set[int] = set()
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for kind, sentence in _mistakes(archive, sizes, pictures, found, competitions):
        first.setdefault(kind, sentence)
        count[kind] += 1
    if first:
        more = {kind: f" ({count[kind]} such files.)" if count[kind] > 1 else "" for kind in first}
        raise UserError("\n".join(f"{archive}: {sentence}{more[kind]}" for kind, sentence in first.items()))
    return competitions.pop(), len(found)


def _check_gzip(archive: Path) -> None:
    try:
        with archive.open("rb") as stream:
            magic = stream.read(len(GZIP_MAGIC))
    except OSError as error:
        raise UserError(f"{archive}: cannot be read ({error.strerror}); give the archive to check.") from None
    if magic != GZIP_MAGIC:
        raise UserError(f"{archive}: is not compressed by gzip; make it by `tar -czf results.tar.gz results`.")


def _mistakes(
    archive: Path,
    sizes: dict[str, tuple[int, int]] | None,
    asked: int | None,
    found: set[str],
    competitions: set[int],
) -> Iterator[Mistake]:
    """Find the mistakes, and note the pictures and competitions that are answered."""
    try:
        for name, content in iter_files(archive, lambda name: True):
            place = MEMBER.fullmatch(name)
            if place is None:
                yield "place", f"{name}: no such file belongs in it; pack answers only, as {EXPECTED} (or comp5)."
                continue
            competitions.add(int(place[1]))
            picture = place[2]
            if picture in found:
                yield "both", f"{name}: this picture is answered in both competitions; keep one folder."
            elif sizes is not None and picture not in sizes:
                yield "extra", f"{name}: '{picture}' is no test picture; remove it."
            else:
                yield from _mistakes_of_picture(name, content, sizes and sizes[picture])
            found.add(picture)
    except UserError as error:  # hostile or damaged; what it holds beyond is not looked at
        reason = str(error).rsplit(";", 1)[0].removeprefix(f"{archive}: ")
        yield "refused", f"{reason}; pack plain files again, with `segrepro submission` say."
        return
    if not found:
        yield "empty", f"holds no answer; pack files named {EXPECTED}."
    elif len(competitions) > 1:
        yield "competitions", "has answers of comp5 and of comp6; send one archive for each."
    for picture in sorted((sizes or {}).keys() - found):
        yield "missing", f"{picture}.png: the answer for this test picture is missing; predict all of them."
    if sizes is None and asked is not None and len(found) not in (0, asked):
        yield (
            "number",
            f"holds {len(found):,} answers where the test set of VOC 2012 has {asked:,} pictures; predict all of them, "
            "or give --manifest (or --other-pictures) where others are meant.",
        )


def _mistakes_of_picture(name: str, content: bytes, size: tuple[int, int] | None) -> Iterator[Mistake]:
    try:
        with opened_picture(content, name, damaged="cannot be read ({fault}); make it again") as picture:
            if picture.format != "PNG":
                yield "format", f"{name}: is a {picture.format} and no PNG; save answers as palette PNG."
                return
            if size is not None and picture.size != size:
                mine, asked = (f"{width} x {height}" for width, height in (picture.size, size))
                yield "size", f"{name}: is {mine} pixels, its picture {asked}; answer at the picture's own size."
            if picture.width * picture.height > MAX_PIXELS:
                yield "huge", f"{name}: is far larger than any test picture; answer at the picture's own size."
                return
            if picture.mode != "P":
                what = NO_PALETTE.get(picture.mode, f"mode {picture.mode}")
                remedy = "save it as palette PNG, index = label"
                yield f"mode {picture.mode}", f"{name}: holds {what} instead of a palette; {remedy}."
                return
            palette = stored_palette(picture)
            labels = np.array(picture)
    except UserError as error:
        yield "damaged", str(error)
        return
    used = np.unique(labels)
    if VOID in used:
        yield "void", f"{name}: answers {VOID} (void); give every pixel a label of 0 to {HIGHEST}."
    strangers = used[(used > HIGHEST) & (used < VOID)]
    if strangers.size:
        yield "label", f"{name}: answers {strangers[0]}; labels are 0 to {HIGHEST}, background is 0."
    if stranger := wrong_colour(used[used <= HIGHEST], palette, VOC_COLOURS):
        index, own = stranger
        yield (
            "palette",
            f"{name}: index {index} has the colour {own} and not VOC's {colour(VOC_COLOURS, index)}; an adaptive "
            "palette renumbers the labels: write the labels as indices, with VOC's palette.",
        )
