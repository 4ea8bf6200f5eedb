# From a model to a score store: whole pictures, or box by box.


rule predict:
    input:
        model=lambda w: systems.model_file(PLAN, w.system),
        spec=lambda w: systems.model_file(PLAN, w.system, "spec.yaml"),
        manifest=f"{DATA}/manifests/{{split}}.csv",
        apart=ancient(lambda w: systems.apart_checks(PLAN, w.system, w.split)),
        proposals=lambda w: systems.proposals_of(PLAN, w.system, w.split),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.predicted),
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=8000,
        runtime=lambda w: systems.prediction_minutes(PLAN, w.system),
    params:
        options=lambda w: systems.prediction_options(PLAN, w.system),
        proposals=lambda w, input: (
            f"--proposals {input.proposals}" if input.proposals else ""
        ),
        shard=lambda w: stores.shard_option(w.get("scatteritem")),
    shell:
        "segrepro predict --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.options} {params.proposals} --system {wildcards.system} {params.shard} --out {output} "
        f"{PLAN.determinism} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"
