# From a model to a score store: whole pictures, or box by box.


rule predict:
    input:
        model=lambda w: systems.model_file(PLAN, w.system),
        spec=lambda w: systems.model_file(PLAN, w.system, "spec.yaml"),
        manifest=f"{DATA}/manifests/{{split}}.csv",
        apart=ancient(lambda w: systems.apart_checks(PLAN, w.system, w.split)),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(PLAN.whole),
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=8000,
        runtime=240,
    params:
        augmentation=lambda w: systems.prediction_options(PLAN, w.system),
        shard=lambda w: stores.shard_option(w.get("scatteritem")),
    shell:
        "segrepro predict --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.augmentation} --system {wildcards.system} {params.shard} --out {output} "
        f"{PLAN.determinism} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"


rule predict_proposals:
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
        system=one_of(PLAN.box_by_box),
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=8000,
        runtime=480,
    params:
        boxes=lambda w, input: (
            f"--proposals {input.proposals}" if input.proposals else "--whole"
        ),
        options=lambda w: systems.prediction_options(PLAN, w.system),
        shard=lambda w: stores.shard_option(w.get("scatteritem")),
    shell:
        "segrepro predict-proposals --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.boxes} {params.options} --system {wildcards.system} {params.shard} --out {output} "
        f"{PLAN.determinism} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"


rule figure_proposals:
    input:
        model=lambda w: systems.model_file(PLAN, w.system),
        spec=lambda w: systems.model_file(PLAN, w.system, "spec.yaml"),
        manifest=lambda w: PLAN.manifest(CONFIG.systems[w.system].splits[0]),
        proposals=lambda w: systems.proposals_of(
            PLAN, w.system, CONFIG.systems[w.system].splits[0]
        ),
        leakage=f"{RESULTS}/leakage.json",
    output:
        report(
            f"{RESULTS}/figures/proposals/{{system}}.png",
            caption="../segrepro/report/captions/proposals.rst",
            category="Predictions",
            labels={"figure": "map growing with proposals", "system": "{system}"},
        ),
        f"{RESULTS}/figures/proposals/{{system}}.pdf",
    log:
        f"{RESULTS}/logs/figures/proposals_{{system}}.log",
    wildcard_constraints:
        system=one_of(PLAN.box_by_box),
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=8000,
        runtime=30,
    params:
        split=lambda w: CONFIG.systems[w.system].splits[0],
        options=lambda w: systems.growing_options(PLAN, w.system),
    shell:
        "segrepro figure-proposals --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "--proposals {input.proposals} --system {wildcards.system} --split {params.split} --leakage {input.leakage} "
        "{params.options} --out {output} --gpus {resources.gpu} --threads {threads} &> {log}"
