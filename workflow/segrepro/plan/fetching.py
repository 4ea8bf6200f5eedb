"""Where fetched files come from, and what they must be."""

import shlex
from pathlib import Path
from typing import Any

from segrepro.config.data import GENERATED, Archive
from segrepro.config.places import check_place, expanded
from segrepro.plan.experiment import Plan


def fetched(plan: Plan) -> dict[str, Archive]:
    """Return all files that can be fetched (archives, weights, an edge detector), by file name."""
    config = plan.config
    detectors = [getattr(entry, "model", None) for entry in config.proposals.values()]
    entries = [*config.archives.given, *config.weights.values(), *detectors]
    return {entry.file: entry for entry in entries if entry is not None}


def download(plan: Plan, entry: Archive) -> str:
    """Return where an archive or a weights file is once it is verified."""
    return f"{plan.data}/downloads/{entry.file}"


def generated_source(plan: Plan, file: str) -> list[str]:
    """Return the generated archive (and its checksum list) that a fetch at sample scale takes, as rule inputs."""
    local = getattr(fetched(plan)[file], "generated", [])
    return [*local, f"{GENERATED}/SHA256SUMS"] if local else []


def fetch_source(plan: Plan, entry: Archive) -> str:
    """Return the options that say where a file comes from."""
    options = [("url", expanded(url)) for url in entry.urls]
    if plan.config.archives_dir:
        options.append(("local-dir", expanded(plan.config.archives_dir)))
    return _written(options)


def fetch_expectation(plan: Plan, file: str) -> str:
    """Return the options that say what a fetched file must be."""
    entry = fetched(plan)[file]
    options = [(kind, getattr(entry, kind)) for kind in ("md5", "sha256", "bytes")]
    if entry.sha256_list:
        options.append(("sha256-list", expanded(entry.sha256_list)))
    return _written(options)


def fetch_options(plan: Plan, file: str) -> str:
    """Return the options that say where a file comes from and what it must be."""
    return f"{fetch_source(plan, fetched(plan)[file])} {fetch_expectation(plan, file)}"


def _written(options: list[tuple[str, Any]]) -> str:
    return " ".join(f"--{option} {shlex.quote(str(value))}" for option, value in options if value is not None)


def check_places(plan: Plan) -> None:
    """Refuse places that cannot be filled in or are not there.

    What is fetched stays, so the folder of the archives may be gone later; the fetch of a file that is not here yet
    says so.

    Raises:
        UserError: naming the key.
    """
    config = plan.config
    for file in fetched(plan):
        fetch_options(plan, file)
    here = [Path(download(plan, entry)).exists() for entry in fetched(plan).values()]
    if config.archives_dir and not any(here):
        check_place("archives_dir", config.archives_dir, folder=True)
    if config.voc2011_val and not Path(plan.manifest("seg11valid")).exists():
        check_place("voc2011_val", config.voc2011_val, folder=False)
    for name, entry in config.proposals.items():
        if edges := getattr(entry, "edges", None):
            check_place(f"proposals.{name}.edges", edges, folder=True)
