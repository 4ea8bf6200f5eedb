"""Where fetched files come from, and what they must be."""

import shlex
from pathlib import Path

from segrepro.config.data import GENERATED, Archive, Expected
from segrepro.config.places import check_place, expanded
from segrepro.options import as_options
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


def generated_files(plan: Plan) -> list[str]:
    """Return the generated archives that the config takes, and their checksum list."""
    return [*(path for archive in plan.config.archives.given for path in archive.generated), f"{GENERATED}/SHA256SUMS"]


def generated_source(plan: Plan, file: str) -> list[str]:
    """Return the generated archive (and its checksum list) that a fetch at sample scale takes, as rule inputs."""
    local = fetched(plan)[file].generated
    return [*local, f"{GENERATED}/SHA256SUMS"] if local else []


def fetch_expectation(plan: Plan, file: str) -> str:
    """Return the options that say what a fetched file must be."""
    entry = fetched(plan)[file]
    options = as_options(entry, leave_out=type(entry).model_fields.keys() - Expected.model_fields.keys())
    if entry.sha256_list:
        options += f" --sha256-list {shlex.quote(expanded(entry.sha256_list))}"
    return options.strip()


def fetch_options(plan: Plan, file: str) -> str:
    """Return the options that say where a file comes from, what it must be, and how long to try each mirror."""
    options = ["--url", *map(expanded, fetched(plan)[file].urls)] if fetched(plan)[file].urls else []
    if plan.config.archives_dir:
        options += ["--local-dir", expanded(plan.config.archives_dir)]
    return f"{shlex.join(options)} {fetch_expectation(plan, file)} {as_options(plan.config.runtime.fetch)}"


def check_places(plan: Plan) -> None:
    """Refuse places that cannot be filled in or are not there; a `UserError` names the key.

    What is fetched stays, so the folder of the archives may be gone later; the fetch of a file that is not here yet
    says so.
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
