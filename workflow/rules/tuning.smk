# What is tuned, fitted or ranked on pictures that are not scored: these pictures, and the search for a CRF's parameters.


rule subset:
    input:
        lambda w: PLAN.manifest(PLAN.subsets[w.subset].dataset),
    output:
        f"{DATA}/manifests/{{subset}}.csv",
    log:
        f"{RESULTS}/logs/manifest/{{subset}}.log",
    wildcard_constraints:
        subset=one_of(PLAN.subsets),
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        pictures=lambda w: PLAN.subsets[w.subset].pictures,
    shell:
        "segrepro subset --manifest {input} --pictures {params.pictures} --out {output} &> {log}"


# Predictions of those pictures wait for it, and it needs nothing but manifests: a config that would end in a refusal
# does so before anything trains.
rule check_apart:
    input:
        manifest=lambda w: PLAN.manifest(CONFIG.systems[w.system].held.dataset),
        scored=lambda w: systems.kept_apart(PLAN, w.system),
    output:
        f"{RESULTS}/checks/apart/{{system}}.json",
    log:
        f"{RESULTS}/logs/check_apart/{{system}}.log",
    wildcard_constraints:
        system=one_of(PLAN.holding),
    priority: 20  # of the jobs that are ready, before any training
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "segrepro check-apart --manifest {input.manifest} --forbid {input.scored} --out {output} &> {log}"


rule crf_search:
    input:
        scores=lambda w: systems.members(
            PLAN, w.system, CONFIG.systems[w.system].held.split
        ),
        manifest=lambda w: PLAN.manifest(CONFIG.systems[w.system].crf.search.tune_on),
        checks=passed_checks(lambda w: CONFIG.systems[w.system].crf.search.tune_on),
        scored=lambda w: [
            PLAN.manifest(split) for split in CONFIG.systems[w.system].splits
        ],
        seen=lambda w: lineage.seen_by(PLAN, CONFIG.systems[w.system].members[0]),
    output:
        table=snake.in_report(
            TABLES["crf_search"], f"{RESULTS}/tables/crf_search/{{system}}.csv"
        ),
        best=f"{RESULTS}/crf_search/{{system}}.json",
    log:
        f"{RESULTS}/logs/crf_search/{{system}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crf_search/{{system}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.tuned),
    threads: PLAN.cores(16)
    resources:
        mem_mb=8000,
        runtime=720,
    params:
        space=lambda w: DATASETS[
            CONFIG.systems[w.system].crf.search.tune_on
        ].label_space,
        options=lambda w: systems.search_options(PLAN, w.system),
        caption=entries.caption_of(TABLES["crf_search"]),
        seen=lambda w, input: f"--seen {input.seen}" if input.seen else "",
    shell:
        "segrepro crf-search --scores {input.scores} --manifest {input.manifest} --forbid {input.scored} "
        "{params.seen} {params.options} --label-space {params.space} --csv {output.table} --json {output.best} "
        "--threads {threads} &> {log}"
