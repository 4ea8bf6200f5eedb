"""Checkpoints for exact resume: every variable, the step (hence the data position) and the history.

They are no outputs of the workflow (Snakemake deletes the outputs of failed jobs). Each is one ``.npz`` written
to a temporary name and renamed; its zip checksums show a damaged file, and the one before it is used then.
"""

import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrepro.files import atomic_path

KEPT = 2  # a second one, in case the newest is damaged


@dataclass
class Checkpoint:
    """State of a training between two steps.

    Attributes:
        step: optimiser updates done.
        variables: the model's and the optimiser's variables, in their fixed order.
        history: rows of history.csv so far: (step, learning rate, loss, pixel accuracy).
        running: sums since the last row of the history: (loss, correct pixels, valid pixels, micro-batches).
        plateau: state of `segrepro.training.plateau.Plateau`; empty under other schedules.
    """

    step: int
    variables: list[np.ndarray]
    history: np.ndarray
    running: np.ndarray
    plateau: np.ndarray


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically and drop those older than the newest two."""
    arrays = {f"variable_{i:05d}": value for i, value in enumerate(checkpoint.variables)}
    with atomic_path(folder / f"step_{checkpoint.step:09d}.npz") as temporary:
        rest = {name: getattr(checkpoint, name) for name in ("step", "history", "running", "plateau")}
        np.savez(temporary, **rest, **arrays)
    for old in _files(folder)[:-KEPT]:
        old.unlink()


def load_newest(folder: Path, shapes: list[tuple[int, ...]]) -> Checkpoint | None:
    """Return the newest checkpoint that can be read and fits ``shapes``, or None.

    Args:
        folder: where `save` wrote.
        shapes: the shapes of the variables, in order; a checkpoint of other shapes is passed over.
    """
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
    with np.load(path) as file:
        names = sorted(name for name in file.files if name.startswith("variable_"))
        rest = {name: file[name] for name in ("history", "running", "plateau")}
        return Checkpoint(step=int(file["step"]), variables=[file[n] for n in names], **rest)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step_*.npz"))
