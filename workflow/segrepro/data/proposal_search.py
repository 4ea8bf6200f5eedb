"""Finding the proposals of a manifest's pictures: cached per picture, in parallel, the same whatever the threads."""

import hashlib
import io
import json
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from segrepro.data.parallel import map_in_processes
from segrepro.data.pictures import read_rgb
from segrepro.data.proposal_methods import ProposalMethod
from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.stores.hdf5 import FORMAT_VERSION
from segrepro.stores.manifests import Example
from segrepro.stores.proposals import ProposalWriter


def find_proposals(
    examples: Iterable[Example],
    out: Path,
    *,
    method: ProposalMethod,
    threads: int = 1,
    cache: Path | None = None,
) -> dict[str, int]:
    """Propose boxes in every picture of a manifest, each picture once, and write the proposals file ``out``.

    The folder ``cache`` keeps each picture's boxes, so that a killed run goes on where it was and pictures shared by
    manifests are searched once; None for a temporary one. What is in it depends on the method, its settings and the
    content of the picture (and of its edge map), not on names and times.

    Returns how many: ``pictures``, ``boxes``, ``without_boxes`` (pictures in which nothing was found) and ``cached``
    (pictures that were not searched again). A picture or an edge map that cannot be used is refused.
    """
    pictures = _pictures(examples)
    summary = {"pictures": len(pictures), "boxes": 0, "without_boxes": 0, "cached": 0}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if cache is None else Path(cache)
        recipe = {"format": FORMAT_VERSION, "method": method.name, "settings": method.described()}
        recipe |= {"cv2": cv2.__version__}  # OpenCV's methods change now and then
        key = _digest(json.dumps(recipe, sort_keys=True).encode())[:16]
        search = partial(_search, method=method, folder=folder / f"{method.name}-{key}")
        found = map_in_processes(search, pictures.items(), threads=threads, label=method.name, total=len(pictures))
        writer = stack.enter_context(ProposalWriter(out, method=method.name, settings=method.described()))
        for id, (path, was_cached) in zip(pictures, found, strict=True):
            boxes = np.load(path, allow_pickle=False)
            writer.add(id, boxes)
            summary["boxes"] += len(boxes)
            summary["without_boxes"] += not len(boxes)
            summary["cached"] += was_cached
    return summary


def _pictures(examples: Iterable[Example]) -> dict[str, Path]:
    """The picture of each id, sorted by id."""
    pictures: dict[str, Path] = {}
    for example in sorted(examples):
        if pictures.setdefault(example.id, example.image) != example.image:
            raise UserError(
                f"picture '{example.id}' comes with two files in the manifest, {pictures[example.id]} and "
                f"{example.image}; make the manifest again."
            )
    return pictures


def _digest(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _search(task: tuple[str, Path], *, method: ProposalMethod, folder: Path) -> tuple[Path, bool]:
    """Return the file (.npy) of a picture's boxes, named by what they were found in, and whether it was there."""
    id, image = task
    beside = method.file_for(id)
    try:
        content = image.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{image}: no such picture; convert its dataset again.") from None
    except OSError as error:
        raise UserError(f"{image}: cannot be read ({error.strerror}); convert its dataset again.") from error
    digest = _digest(content, *([beside.read_bytes()] if beside is not None and beside.is_file() else []))
    path = folder / f"{digest}.npy"
    if _is_boxes(path):
        return path, True
    cv2.setNumThreads(1)  # the processes are the threads that the caller granted
    picture = read_rgb(content, name=str(image))
    try:
        boxes = method.find(picture, id=id, seed=int(digest[:16], 16))
    except cv2.error as error:
        raise UserError(
            f"{image}: {method.name} cannot search this picture of {picture.shape[1]} x {picture.shape[0]} "
            f"pixels ({' '.join(str(error).split())}); leave it out of the manifest or use another method."
        ) from error
    with atomic_path(path) as temporary:
        content = io.BytesIO()  # NumPy does not say why it cannot write to a file: a full disk
        np.save(content, boxes, allow_pickle=False)
        temporary.write_bytes(content.getbuffer())
    return path, False


def _is_boxes(path: Path) -> bool:
    """Is there a file of boxes, and can it be read? A damaged one is made again."""
    try:
        boxes = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return boxes.dtype == np.int32 and boxes.ndim == 2 and boxes.shape[1] == 4
