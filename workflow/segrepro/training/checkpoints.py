"""Checkpoints for exact resume: every variable, the step (hence the data position) and the history.

They are no outputs of the workflow (Snakemake deletes the outputs of failed jobs). Each is one ``.npz``, written to a
temporary name and renamed, with the SHA-256 of its bytes behind them (readers of zip files look for the directory from
the end and pass over what follows it). One flipped bit anywhere is noticed, and the checkpoint before is used then.
"""

import hashlib
import io
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.files import atomic_path

KEPT = 2  # a second one, in case the newest is damaged
DIGEST_CHARACTERS = 64


@dataclass
class Checkpoint:
    """State of a training between two steps."""

    step: int  # optimiser updates done
    variables: list[np.ndarray]  # the model's and the optimiser's, in their fixed order
    history: np.ndarray  # rows of history.csv so far: (step, learning rate, loss, pixel accuracy)
    running: np.ndarray  # sums since the last row: (loss, correct pixels, valid pixels, micro-batches)
    plateau: np.ndarray  # state of `segrepro.training.plateau.Plateau`; empty under other schedules


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, and keep no other than the one before.

    Those of later steps go as well: `load_newest` has refused them, and they must not push out good ones.
    """
    arrays = {f"variable_{i:05d}": value for i, value in enumerate(checkpoint.variables)}
    path = folder / f"step_{checkpoint.step:09d}.npz"
    with atomic_path(path) as temporary:
        rest = {name: getattr(checkpoint, name) for name in ("step", "history", "running", "plateau")}
        with temporary.open("w+b") as stream:
            np.savez(stream, **rest, **arrays)
            stream.seek(0)
            stream.write(hashlib.file_digest(stream, "sha256").hexdigest().encode())
    files = _files(folder)
    index = files.index(path)
    for other in [*files[: max(index - KEPT + 1, 0)], *files[index + 1 :]]:
        other.unlink()


def load_newest(folder: Path, shapes: list[tuple[int, ...]]) -> Checkpoint | None:
    """Return the newest checkpoint that can be read and whose variables have these shapes, in order; or None."""
    for path in reversed(_files(folder)):
        try:
            checkpoint = _read(path)
        except (zipfile.BadZipFile, OSError, ValueError, KeyError, EOFError) as error:
            print(f"warning: {path} is damaged ({error}); falling back to the one before it", file=sys.stderr)
            continue
        if [value.shape for value in checkpoint.variables] == shapes:
            return checkpoint
        print(f"warning: {path} belongs to another network; it is not used", file=sys.stderr)
    return None


def _read(path: Path) -> Checkpoint:
    content = path.read_bytes()
    body, digest = memoryview(content)[:-DIGEST_CHARACTERS], content[-DIGEST_CHARACTERS:]
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise ValueError("its checksum is wrong")
    with np.load(io.BytesIO(content)) as file:
        names = sorted(name for name in file.files if name.startswith("variable_"))
        rest = {name: file[name] for name in ("history", "running", "plateau")}
        return Checkpoint(step=int(file["step"]), variables=[file[n] for n in names], **rest)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*.npz"))
