# From a model to a score store.


rule predict:
    input:
        model=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/model.keras",
        spec=lambda w: f"{RESULTS}/models/{CONFIG.systems[w.system].model}/spec.yaml",
        manifest=f"{DATA}/manifests/{{split}}.csv",
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}.tsv"
    conda:
        NETWORK_ENVIRONMENT
    threads: 8
    resources:
        gpu=1,
        mem_mb=8000,
        runtime=240,
    params:
        augmentation=prediction_options,
    shell:
        "segrepro predict --model {input.model} --spec {input.spec} --manifest {input.manifest} "
        "{params.augmentation} --system {wildcards.system} --out {output} --threads {threads} &> {log}"
