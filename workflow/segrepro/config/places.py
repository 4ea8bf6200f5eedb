"""Places on this machine that the config names, and the overlay of its scale: looked at before anything else."""

import difflib
import os
import re
from pathlib import Path
from typing import Any

from segrepro.errors import UserError


def scale_overlay(folder: Path, scale: Any) -> Path:
    """Return a folder's ``<scale>.yaml``, which is laid over the config; a `UserError` where there is none."""
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if scale in known:
        return folder / f"{scale}.yaml"
    near = difflib.get_close_matches(str(scale).lower(), known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise UserError(f"config: scale: use {', '.join(known[:-1])} or {known[-1]}, not {scale!r}{hint}")


def check_checkout(folder: Path) -> None:
    """Refuse a checkout with a brace in its path, which Snakemake reads as that of a wildcard."""
    if set("{}") & set(str(folder)):
        raise UserError(f"{folder}: Snakemake takes the braces in this name for wildcards; move or rename the folder.")


def expanded(place: str) -> str:
    """Return a path or URL of the config with the user's home (``~``) and environment variables filled in.

    A variable that is not set is a `UserError`.
    """
    filled = os.path.expandvars(place)
    if unset := re.search(r"\$\{?(\w+)", filled):
        raise UserError(f"config: '{place}' needs the environment variable {unset[1]}, which is not set.")
    scheme, path = ("file:", filled[5:]) if filled.startswith("file:") else ("", filled)
    return scheme + os.path.expanduser(path)  # noqa: PTH111 - it may be a URL


def check_place(key: str, place: str, *, folder: bool) -> None:
    """Refuse a folder or file of the user's, named by a key of the config, that is not there or of the other kind."""
    path = Path(expanded(place))
    if not (path.is_dir() if folder else path.is_file()):
        raise UserError(f"config: {key}: there is no {'folder' if folder else 'file'} {path}; name one that is there.")
