# From several systems' score stores to one: a fused system is a system.


rule fuse:
    input:
        lambda w: [
            f"{RESULTS}/scores/{member}/{w.split}.h5"
            for member in CONFIG.systems[w.system].fusion.members
        ],
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/fuse/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fuse/{{system}}/{{split}}.tsv"
    wildcard_constraints:
        system=one_of(FUSED),
    conda:
        "../../envs/cpu.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        names=lambda w: " ".join(CONFIG.systems[w.system].fusion.members),
        space=lambda w: DATASETS[w.split].label_space,
        options=lambda w: as_options(
            CONFIG.systems[w.system].fusion, leave_out=["members"]
        ),
    shell:
        "segrepro fuse --members {input} --names {params.names} {params.options} --label-space {params.space} "
        "--system {wildcards.system} --out {output} --threads {threads} &> {log}"
