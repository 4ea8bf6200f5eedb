# Where fetched files come from, and what they must be.
from segrepro.config.places import check_place, expanded


def fetched():
    """All files that can be fetched (archives, weights, an edge detector), by file name."""
    detectors = [getattr(entry, "model", None) for entry in CONFIG.proposals.values()]
    return {
        entry.file: entry
        for entry in [*CONFIG.archives.given, *CONFIG.weights.values(), *detectors]
        if entry is not None
    }


def download(entry):
    """Where an archive or a weights file is once it is verified."""
    return f"{DATA}/downloads/{entry.file}"


def generated_source(wildcards):
    """The generated archive (and its checksum list) that a fetch at sample scale takes, as rule inputs."""
    local = getattr(fetched()[wildcards.archive], "generated", [])
    return [*local, f"{GENERATED}/SHA256SUMS"] if local else []


def fetch_source(entry):
    """The command-line options that say where a file comes from."""
    options = [("--url", expanded(url)) for url in entry.urls]
    if CONFIG.archives_dir:
        options.append(("--local-dir", expanded(CONFIG.archives_dir)))
    return " ".join(f"{option} {shlex.quote(value)}" for option, value in options)


def fetch_expectation(entry):
    """The command-line options that say what a fetched file must be."""
    options = [
        (f"--{kind}", getattr(entry, kind)) for kind in ("md5", "sha256", "bytes")
    ]
    if entry.sha256_list:
        options.append(("--sha256-list", expanded(entry.sha256_list)))
    return " ".join(
        f"{option} {shlex.quote(str(value))}"
        for option, value in options
        if value is not None
    )


def check_places():
    """Refuse places that cannot be filled in or are not there.

    What is fetched stays, so the folder of the archives may be gone later; the fetch of a file that is not here yet
    says so.
    """
    for entry in fetched().values():
        fetch_source(entry), fetch_expectation(entry)
    here = [Path(download(entry)).exists() for entry in fetched().values()]
    if CONFIG.archives_dir and not any(here):
        check_place("archives_dir", CONFIG.archives_dir, folder=True)
    if CONFIG.voc2011_val and not Path(f"{DATA}/manifests/seg11valid.csv").exists():
        check_place("voc2011_val", CONFIG.voc2011_val, folder=False)
    for name, finder in CONFIG.proposals.items():
        if edges := getattr(finder, "edges", None):
            check_place(f"proposals.{name}.edges", edges, folder=True)


try:
    check_places()
except UserError as error:
    raise WorkflowError(str(error))


wildcard_constraints:
    archive="|".join(sorted(re.escape(file) for file in fetched())),
