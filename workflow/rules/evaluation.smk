# From a score store to metrics.


rule evaluate:
    input:
        scores=f"{RESULTS}/scores/{{system}}/{{split}}.h5",
        manifest=f"{DATA}/manifests/{{split}}.csv",
        checks=f"{RESULTS}/checks/{{split}}.json",
    output:
        json=f"{RESULTS}/metrics/{{system}}/{{split}}.json",
        confusions=f"{RESULTS}/metrics/{{system}}/{{split}}.npz",
    log:
        f"{RESULTS}/logs/evaluate/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{system}}/{{split}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 8
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        label_space=lambda w: DATASETS[w.split].label_space,
    shell:
        "segrepro evaluate --scores {input.scores} --manifest {input.manifest} "
        "--label-space {params.label_space} --json {output.json} --confusions {output.confusions} "
        "--threads {threads} &> {log}"
