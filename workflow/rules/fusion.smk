# From several systems' score stores to one: a fused system is a system.


rule fuse:
    input:
        members=lambda w: systems.members(PLAN, w.system, w.split),
        metrics=lambda w: systems.ranking_metrics(PLAN, w.system),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/fuse/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fuse/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.fused),
    threads: PLAN.cores(8)
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        names=lambda w: " ".join(CONFIG.systems[w.system].members),
        space=lambda w: systems.answer_space(PLAN, w.split),
        options=lambda w: systems.fusion_options(PLAN, w.system),
        metrics=lambda w, input: f"--metrics {input.metrics}" if input.metrics else "",
    shell:
        "segrepro fuse --members {input.members} --names {params.names} {params.options} {params.metrics} "
        "--label-space {params.space} --system {wildcards.system} --out {output} --threads {threads} &> {log}"


rule stack:
    input:
        members=lambda w: systems.members(PLAN, w.system, w.split),
        manifest=f"{DATA}/manifests/{{split}}.csv",
        checks=passed_checks(lambda w: CONFIG.dataset_of(w.split)),
        fitted_on=lambda w: systems.fitted_on(PLAN, w.system),
        fit_checks=ancient(lambda w: systems.fitted_checks(PLAN, w.system)),
    output:
        scores=f"{RESULTS}/scores/{{system}}/{{split}}.h5",
        report=f"{RESULTS}/stackers/{{system}}/{{split}}.json",
    log:
        f"{RESULTS}/logs/stack/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/stack/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.stacked),
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=4000,
        runtime=240,
    params:
        names=lambda w: " ".join(CONFIG.systems[w.system].members),
        space=lambda w: systems.answer_space(PLAN, w.split),
        options=lambda w: systems.stacking_options(PLAN, w.system),
        seed=CONFIG.seed,
    shell:
        "segrepro stack --members {input.members} --names {params.names} --manifest {input.manifest} "
        "{params.options} --label-space {params.space} --seed {params.seed} --system {wildcards.system} "
        "--out {output.scores} --json {output.report} --gpus {resources.gpu} --threads {threads} &> {log}"


rule crf:
    input:
        scores=lambda w: systems.members(PLAN, w.system, w.split),
        manifest=f"{DATA}/manifests/{{split}}.csv",
        parameters=lambda w: systems.found_parameters(PLAN, w.system),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/crf/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crf/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.refined),
    threads: PLAN.cores(16)
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        space=lambda w: systems.answer_space(PLAN, w.split),
        options=lambda w: systems.crf_options(PLAN, w.system),
        found=lambda w, input: (
            f"--parameters {input.parameters}" if input.parameters else ""
        ),
        shard=lambda w: stores.shard_option(w.get("scatteritem")),
    shell:
        "segrepro crf --scores {input.scores} --manifest {input.manifest} {params.options} {params.found} "
        "--label-space {params.space} --system {wildcards.system} {params.shard} --out {output} "
        "--threads {threads} &> {log}"
