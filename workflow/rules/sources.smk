# Where fetched files come from, and what they must be.


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


def expanded(place):
    """A path or URL of the config with its environment variables filled in."""
    filled = os.path.expandvars(place)
    if unset := re.search(r"\$\{?(\w+)", filled):
        raise WorkflowError(
            f"config: '{place}' needs the environment variable {unset[1]}, which is not set."
        )
    return filled


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


# A place that cannot be filled in is said before anything runs.
for entry in fetched().values():
    fetch_source(entry), fetch_expectation(entry)


wildcard_constraints:
    archive="|".join(sorted(re.escape(file) for file in fetched())),
