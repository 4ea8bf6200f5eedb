# From archives to manifests that have passed the label checks.


if PLAN.sample:

    rule sample_archives:
        output:
            fetching.generated_files(PLAN),
            preview=snake.in_report(FIGURES["sample"], f"{RESULTS}/figures/sample.png"),
        log:
            f"{RESULTS}/logs/sample.log",
        benchmark:
            f"{RESULTS}/benchmarks/sample.tsv"
        threads: 8
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            settings=datasets.sample_options(PLAN),
            caption=entries.caption_of(FIGURES["sample"]),
            folder=lambda w, output: os.path.dirname(output[0]),
        shell:
            "segrepro sample --out {params.folder} {params.settings} "
            "--preview {output.preview} --threads {threads} &> {log}"


rule fetch:
    input:
        lambda w: fetching.generated_source(PLAN, w.archive),
    output:
        f"{DATA}/downloads/{{archive}}",
    log:
        f"{RESULTS}/logs/fetch/{{archive}}.log",
    localrule: True  # compute nodes of a cluster often have no way out
    resources:
        # Not parameters, which would trigger: another mirror, or a checksum that was not known before, must not fetch,
        # convert and train everything again. A checksum that is changed is compared with the file here by rule checksum.
        source=lambda w: fetching.fetch_options(PLAN, w.archive),
    shell:
        "segrepro fetch --out {output} {resources.source} &> {log}"


rule convert:
    input:
        lambda w: datasets.archives(PLAN, w.folder),
    output:
        directory(f"{DATA}/{{folder}}"),
    log:
        f"{RESULTS}/logs/convert/{{folder}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert/{{folder}}.tsv"
    wildcard_constraints:
        folder=one_of(datasets.converted(PLAN)),
    threads: PLAN.cores(16)
    resources:
        mem_mb=lambda w: datasets.folder(w.folder).mem_mb,
        runtime=lambda w: datasets.folder(w.folder).minutes,
    params:
        options=lambda w: datasets.convert_options(PLAN, w.folder),
    shell:
        "segrepro convert {params.options} --archives {input} --out {output} --threads {threads} &> {log}"


rule manifest:
    input:
        lambda w: datasets.folders(PLAN, w.dataset),
        lambda w: compare_standing() or [],
    output:
        f"{DATA}/manifests/{{dataset}}.csv",
    log:
        f"{RESULTS}/logs/manifest/{{dataset}}.log",
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folders=lambda w: datasets.manifest_options(PLAN, w.dataset),
    shell:
        "segrepro manifest {wildcards.dataset} --out {output} {params.folders} &> {log}"


rule check_labels:
    input:
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
        others=lambda w: datasets.disjoint_from(PLAN, w.dataset),
    output:
        f"{RESULTS}/checks/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/checks/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/checks/{{dataset}}.tsv"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        options=lambda w: datasets.check_options(PLAN, w.dataset),
    shell:
        "segrepro check-labels --manifest {input.manifest} {params.options} "
        "--json {output} --threads {threads} &> {log}"


# Of the data and the bounds that passed last, whatever became of later checks: see passed_checks in segrepro.plan.
rule passed_checks:
    input:
        f"{DATA}/manifests/{{dataset}}.csv",
        f"{RESULTS}/checks/{{dataset}}.json",
    output:
        update(f"{RESULTS}/checks/{{dataset}}.passed"),  # never missing, not for a moment
    log:
        f"{RESULTS}/logs/checks/{{dataset}}_passed.log",
    localrule: True
    params:
        options=lambda w: datasets.check_options(PLAN, w.dataset),
    shell:
        "touch {output} 2> {log}"
