# From a model to a score store: whole pictures, or box by box.


rule predict:
    input:
        model=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/model.keras",
        spec=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/spec.yaml",
        manifest=f"{DATA}/manifests/{{split}}.csv",
        apart=ancient(apart_checks),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(WHOLE),
    conda:
        NETWORK_ENVIRONMENT
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPUS,
        mem_mb=8000,
        runtime=240,
    params:
        augmentation=prediction_options,
        shard=lambda w, output: shard_option(w),
    shell:
        "segrepro predict --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.augmentation} --system {wildcards.system} {params.shard} --out {output} "
        f"{DETERMINISM} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"


rule predict_proposals:
    input:
        model=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/model.keras",
        spec=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/spec.yaml",
        manifest=f"{DATA}/manifests/{{split}}.csv",
        apart=ancient(apart_checks),
        proposals=proposals_of(lambda w: CONFIG.systems[w.system].proposal_wise),
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(BOX_BY_BOX),
    conda:
        NETWORK_ENVIRONMENT
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPUS,
        mem_mb=8000,
        runtime=480,
    params:
        boxes=lambda w, input: (
            f"--proposals {input.proposals}" if input.proposals else "--whole"
        ),
        options=lambda w: as_options(
            CONFIG.systems[w.system].proposal_wise, leave_out=["proposals"]
        ),
        shard=lambda w, output: shard_option(w),
    shell:
        "segrepro predict-proposals --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.boxes} {params.options} --system {wildcards.system} {params.shard} --out {output} "
        f"{DETERMINISM} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"


rule figure_proposals:
    input:
        model=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/model.keras",
        spec=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/spec.yaml",
        manifest=lambda w: f"{DATA}/manifests/{CONFIG.systems[w.system].splits[0]}.csv",
        proposals=lambda w: (
            f"{DATA}/proposals/{CONFIG.systems[w.system].proposal_wise.proposals}/"
            f"{CONFIG.systems[w.system].splits[0]}.h5"
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
        system=one_of(BOX_BY_BOX),
    conda:
        NETWORK_ENVIRONMENT
    threads: NETWORK_THREADS
    resources:
        gpu=NETWORK_GPUS,
        mem_mb=8000,
        runtime=30,
    params:
        split=lambda w: CONFIG.systems[w.system].splits[0],
        counts=growing_counts,
        options=lambda w: as_options(
            CONFIG.systems[w.system].proposal_wise,
            leave_out=["proposals", "count", "storage_stride"],
        ),
    shell:
        "segrepro figure-proposals --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "--proposals {input.proposals} --system {wildcards.system} --split {params.split} --leakage {input.leakage} "
        "--counts {params.counts} {params.options} --out {output} --gpus {resources.gpu} --threads {threads} &> {log}"
