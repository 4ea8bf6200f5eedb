# What the config says of where a number comes from: inputs and options of the rules that record it.

from segrepro.provenance.origin import experiment_sha256, origin


def origin_inputs(*names):
    """What the provenance of (system, split) pairs is read from: the files of each option."""
    origins = [origin(CONFIG, GRAPH, system, split) for system, split in names]
    files = sorted({file for entry in origins for file in entry.files})
    datasets = sorted({name for entry in origins for name in entry.datasets})
    models = sorted({name for entry in origins for name in entry.models})
    return {
        # Ancient: a checksum or a bound that the config changes is checked again, and makes nothing anew; files and
        # pictures that are others do, by way of what is made of them.
        "checksums": [ancient(f"{RESULTS}/checksums/{file}.json") for file in files],
        "datasets": [ancient(f"{RESULTS}/checks/{name}.json") for name in datasets],
        "made": expand(f"{RESULTS}/models/{{name}}/made.json", name=models),
    }


def origin_options(input, config_sha256):
    """The command-line options that record a result's provenance."""
    options = [
        f"--{key} {' '.join(input[key])}" for key in ("checksums", "datasets", "made")
    ]
    return f"--config-sha256 {config_sha256} --seed {CONFIG.seed} {' '.join(options)}"


def config_sha256(system, split):
    """The hash of the part of the config that a system's scores depend on."""
    return origin(CONFIG, GRAPH, system, split).config_sha256
