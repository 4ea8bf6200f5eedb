# Training sets of a model's own: object proposals, the boxes that DeconvNet's two stages train on, repeated classes.


rule proposals:
    input:
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
        checks=passed_checks(lambda w: w.dataset),
        detector=lambda w: datasets.detector(PLAN, w.proposals),
        edges=lambda w: datasets.edge_maps(PLAN, w.proposals),
    output:
        f"{DATA}/proposals/{{proposals}}/{{dataset}}.h5",
    log:
        f"{RESULTS}/logs/proposals/{{proposals}}_{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/proposals/{{proposals}}_{{dataset}}.tsv"
    priority: 10  # trainings wait for it
    threads: PLAN.cores(16)
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        options=lambda w: datasets.proposal_options(PLAN, w.proposals),
        # Like checkpoints no output: it outlives a failed job, and serves pictures that datasets share.
        cache=f"{DATA}/proposals/cache",
    shell:
        "segrepro proposals --manifest {input.manifest} {params.options} --cache {params.cache} "
        "--out {output} --threads {threads} &> {log}"


rule proposal_recall:
    input:
        proposals=f"{DATA}/proposals/{{proposals}}/{{dataset}}.h5",
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
    output:
        snake.in_report(
            TABLES["proposals"],
            f"{RESULTS}/tables/proposals/{{proposals}}_{{dataset}}.csv",
        ),
    log:
        f"{RESULTS}/logs/proposals/recall_{{proposals}}_{{dataset}}.log",
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        options=as_options(CONFIG.proposal_recall),
        caption=entries.caption_of(TABLES["proposals"]),
    shell:
        "segrepro proposal-recall --proposals {input.proposals} --manifest {input.manifest} {params.options} "
        "--out {output} --threads {threads} &> {log}"


rule training_set:
    input:
        manifest=lambda w: models.dataset_manifest(PLAN, w.model),
        checks=passed_checks(lambda w: CONFIG.models[w.model].dataset),
        proposals=lambda w: models.proposals_of(PLAN, w.model),
    output:
        manifest=f"{RESULTS}/models/{{model}}/training_set.csv",
        counts=snake.in_report(
            TABLES["examples"], f"{RESULTS}/tables/examples/{{model}}.csv"
        ),
    log:
        f"{RESULTS}/logs/examples/{{model}}.log",
    wildcard_constraints:
        model=one_of(PLAN.own_sets),
    priority: 10  # trainings wait for it
    threads: PLAN.cores(8)
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        options=lambda w: models.training_set_options(PLAN, w.model),
        caption=entries.caption_of(TABLES["examples"]),
    shell:
        "segrepro training-set {params.options} --manifest {input.manifest} --out {output.manifest} "
        "--counts {output.counts} --threads {threads} &> {log}"
