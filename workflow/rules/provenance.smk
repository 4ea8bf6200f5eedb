# Where every number comes from: checksums of what was fetched, and one page of it all.

from segrepro.provenance.origin import experiment_sha256, origin


def origin_inputs(*names):
    """What a result's provenance is read from, as rule inputs by option: of (system, split) pairs."""
    origins = [origin(CONFIG, LINEAGE, system, split) for system, split in names]
    files = sorted({file for entry in origins for file in entry.files})
    datasets = sorted({name for entry in origins for name in entry.datasets})
    models = sorted({name for entry in origins for name in entry.models})
    return {
        "checksums": expand(f"{RESULTS}/checksums/{{file}}.json", file=files),
        "datasets": expand(f"{RESULTS}/checks/{{name}}.json", name=datasets),
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
    return origin(CONFIG, LINEAGE, system, split).config_sha256


rule checksum:
    input:
        f"{DATA}/downloads/{{archive}}",
    output:
        f"{RESULTS}/checksums/{{archive}}.json",
    log:
        f"{RESULTS}/logs/checksum/{{archive}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=500,
        runtime=30,
    shell:
        "segrepro checksum {input} --out {output} &> {log}"


rule provenance:
    input:
        **origin_inputs(*scored()),
        metrics=[
            f"{RESULTS}/metrics/{system}/{split}.json" for system, split in scored()
        ],
    output:
        json=f"{RESULTS}/provenance.json",
        table=report(
            f"{RESULTS}/tables/provenance.csv",
            category="Tables",
            labels={"table": "provenance"},
        ),
    log:
        f"{RESULTS}/logs/provenance.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        scale=CONFIG.scale,
        provenance=lambda w, input: origin_options(
            input,
            experiment_sha256([origin(CONFIG, LINEAGE, *pair) for pair in scored()]),
        ),
    shell:
        "segrepro provenance --metrics {input.metrics} --scale {params.scale} {params.provenance} "
        "--out {output.json} --table {output.table} &> {log}"
