"""The archive that VOC's evaluation server takes: a tar.gz with a palette PNG for each test picture.

::

    results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png

A pixel's palette index is its label, 0 to 20; the palette is VOC's; the size is the picture's. The bytes depend on the
answers alone: members sorted by name, no times, no owners.
"""

import gzip
import io
import tarfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from segrepro.data.masks import write_palette_mask
from segrepro.data.parallel import map_in_processes
from segrepro.files import atomic_path
from segrepro.labels import VOC21
from segrepro.stores.manifests import read_manifest
from segrepro.stores.same_pictures import refuse_other_pictures
from segrepro.stores.scores import ScoreReader

FOLDER = "results/VOC2012/Segmentation"
COMPETITIONS = (5, 6)
COMPRESSION = 6  # gzip's own default; PNGs hardly shrink further


def member_name(picture: str, competition: int) -> str:
    """Return where the answer for a picture is in the archive."""
    return f"{FOLDER}/comp{competition}_test_cls/{picture}.png"


def _answer(picture: str, *, store: Path) -> bytes:
    """Return a picture's labels as palette PNG in VOC's colours; the store is opened again for each picture."""
    stream = io.BytesIO()
    with ScoreReader(store) as reader:
        write_palette_mask(stream, reader.labels(picture, VOC21.name))
    return stream.getvalue()


def pack(scores: Path, manifest: Path, out: Path, *, competition: int, threads: int) -> int:
    """Pack a store's labels of the pictures of a manifest into a tar.gz; return how many pictures these are.

    Labels of another space are mapped to VOC's after the argmax.

    Raises:
        UserError: store or manifest cannot be used, or they do not hold the same pictures.
    """
    ids = sorted({example.id for example in read_manifest(manifest)})
    with ScoreReader(scores) as reader:
        reader.mapping(VOC21.name)
        refuse_other_pictures(
            reader.ids, ids, found_in=scores, wanted_in=manifest, remedy="predict this manifest again"
        )
    pictures = map_in_processes(partial(_answer, store=scores), ids, threads=threads, label="answers", total=len(ids))
    with atomic_path(out) as temporary:
        _write(temporary, ((member_name(i, competition), png) for i, png in zip(ids, pictures, strict=True)))
    return len(ids)


def _write(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a tar.gz whose bytes tell neither when nor by whom it was made."""
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in members:
            info = tarfile.TarInfo(name)  # as it comes: mode 0644, owner 0, no time
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
