"""``made.json``, beside each model: what made it.

::

    {"model": "fcn8s", "spec_sha256": "..", "training_set_sha256": "..", "initial_weights_sha256": "..", "seed": 0,
     "code": [{"training_sha256": "..", "commit": "..", "dirty": false}],
     "devices": [{"shared_by": 2, "gpus": [{"name": "..", "compute_capability": "8.0", "id": "0"}, ..], "alone": null,
                  "deterministic": true}],
     "versions": {..}, "hardware": {..}, "settings": {..}, "command": "segrepro train .."}

``code`` has one entry for a model that one code made. A training that went on from the checkpoint of other code has an
entry for each, oldest first: the checkpoint's folder keeps the list. So it does for ``devices``: what shared each step
of the training (`segrepro.training.devices.devices_record`) and whether it computed the same bits each time, with
another entry where it went on otherwise.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segrepro.config.spec import ModelSpec
from segrepro.errors import UserError
from segrepro.files import file_digest, write_json
from segrepro.json_files import read_json
from segrepro.provenance.code import UNKNOWN, Code, git_state, training_sha256
from segrepro.provenance.machine import machine_record

CODES_FILE, DEVICES_FILE = "code.json", "devices.json"
KEYS = ("model", "spec_sha256", "training_set_sha256", "initial_weights_sha256", "seed", "code")
CODE_KEYS = ("training_sha256", "commit", "dirty")
UNKNOWN_CODE: Code = dict.fromkeys(CODE_KEYS, UNKNOWN)
UNKNOWN_DEVICES = {"shared_by": UNKNOWN, "gpus": UNKNOWN, "alone": None, "deterministic": UNKNOWN}


def training_code() -> Code:
    """Return the identity of the training code that runs: the hash of its modules, commit and dirtiness."""
    return {"training_sha256": training_sha256(), **git_state()}


def note_training_code(folder: Path, current: Code, *, resumed: bool) -> list[Code]:
    """Add the code that runs to the list that a training's checkpoints keep, and return the list, oldest first.

    The list, in the checkpoints' ``folder``, starts again unless the training is ``resumed`` from a checkpoint.
    """
    codes = _kept(folder / CODES_FILE, _are_codes, UNKNOWN_CODE) if resumed else []
    if not codes or codes[-1]["training_sha256"] != current["training_sha256"]:
        codes.append(current)
        write_json(folder / CODES_FILE, codes)
    return codes


def note_devices(folder: Path, current: dict[str, Any], *, resumed: bool) -> list[dict[str, Any]]:
    """Do the same with the devices that train now, of `segrepro.training.devices.devices_record`."""
    noted = _kept(folder / DEVICES_FILE, lambda kept: isinstance(kept, list), UNKNOWN_DEVICES) if resumed else []
    if noted[-1:] != [current]:
        noted.append(current)
        write_json(folder / DEVICES_FILE, noted)
    return noted


def _kept(path: Path, is_list: Callable[[Any], bool], unknown: dict[str, Any]) -> list[Any]:
    """Read a list that checkpoints keep; what wrote checkpoints without a readable one is unknown."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError, json.JSONDecodeError):
        kept = None
    return kept if is_list(kept) else [dict(unknown)]


def _are_codes(codes: Any) -> bool:
    listed = isinstance(codes, list) and bool(codes)
    return listed and all(isinstance(code, dict) and code.keys() >= set(CODE_KEYS) for code in codes)


def write_made(
    path: Path,
    spec: ModelSpec,
    *,
    argv: list[str],
    codes: list[Code],
    devices: list[dict[str, Any]] | None = None,
    training_set: Path | None = None,
    initial_weights: Path | None = None,
) -> None:
    """Write what made a model to ``path``, atomically.

    An imported model has neither devices nor a training set (the manifest); its initial weights are the file that it
    was imported from. ``argv`` is the command, without ``segrepro``.
    """
    made = {
        "model": spec.name,
        "spec_sha256": hashlib.sha256(spec.content().encode()).hexdigest(),
        "training_set_sha256": _digest(training_set),
        "initial_weights_sha256": _digest(initial_weights),
        "seed": spec.seed,
        "code": codes,
        "devices": devices,
    }
    write_json(path, made | machine_record(argv))


def _digest(path: Path | None) -> str | None:
    """Return a file's sha256; None for no file, or for the folder or prefix of a TF1 checkpoint."""
    return file_digest(path) if path is not None and path.is_file() else None


def read_made(path: Path) -> dict[str, Any]:
    """Read what made a model; refuse a file that is missing or of another form."""
    remedy = "make the model again, which writes it"
    made = read_json(path, remedy)
    if not made.keys() >= set(KEYS) or not _are_codes(made["code"]):
        raise UserError(f"{path}: not what a training writes of its model; {remedy}.")
    return made
