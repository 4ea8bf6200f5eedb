# The search for a CRF's parameters, on pictures that are not scored.


def crf_options(name):
    """The options of a CRF that its score store depends on, besides what a search finds."""
    crf = CONFIG.systems[name].crf
    searched = ["preset", *PARAMETERS] if crf.search else []
    return as_options(crf, leave_out=["members", "search", *searched])


def search_options(wildcards):
    """The options of a search: how, where it starts from, and which values it tries."""
    crf = CONFIG.systems[wildcards.system].crf
    seed = f"--seed {CONFIG.seed}" if crf.search.method == "random" else ""
    start = as_options(
        crf, leave_out=["members", "drop_below", "storage_stride", "search"]
    )
    return f"{start} {as_options(crf.search, leave_out=['tune_on'])} {seed}"


rule subset:
    input:
        lambda w: f"{DATA}/manifests/{SUBSETS[w.subset].tune_on}.csv",
    output:
        f"{DATA}/manifests/{{subset}}.csv",
    log:
        f"{RESULTS}/logs/manifest/{{subset}}.log",
    wildcard_constraints:
        subset=one_of(SUBSETS),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pictures=lambda w: SUBSETS[w.subset].pictures,
    shell:
        "segrepro subset --manifest {input} --pictures {params.pictures} --out {output} &> {log}"


rule crf_search:
    input:
        scores=lambda w: (
            f"{RESULTS}/scores/{CONFIG.systems[w.system].members[0]}/"
            f"{CONFIG.systems[w.system].crf.search.split}.h5"
        ),
        manifest=lambda w: f"{DATA}/manifests/{CONFIG.systems[w.system].crf.search.tune_on}.csv",
        checks=lambda w: f"{RESULTS}/checks/{CONFIG.systems[w.system].crf.search.tune_on}.json",
        scored=lambda w: [
            f"{DATA}/manifests/{split}.csv"
            for split in CONFIG.systems[w.system].splits
        ],
    output:
        table=report(
            f"{RESULTS}/tables/crf_search/{{system}}.csv",
            category="Tables",
            labels={"table": "CRF search", "system": "{system}"},
        ),
        best=f"{RESULTS}/crf_search/{{system}}.json",
    log:
        f"{RESULTS}/logs/crf_search/{{system}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crf_search/{{system}}.tsv"
    wildcard_constraints:
        system=one_of(TUNED),
    conda:
        "../../envs/cpu.yaml"
    threads: 16
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        space=lambda w: DATASETS[
            CONFIG.systems[w.system].crf.search.tune_on
        ].label_space,
        options=search_options,
    shell:
        "segrepro crf-search --scores {input.scores} --manifest {input.manifest} --forbid {input.scored} "
        "{params.options} --label-space {params.space} --csv {output.table} --json {output.best} "
        "--threads {threads} &> {log}"
