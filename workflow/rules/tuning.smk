# The search for a CRF's parameters, on pictures that are not scored.


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
        checks=passed_checks(lambda w: CONFIG.systems[w.system].crf.search.tune_on),
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
    threads: cores(16)
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
