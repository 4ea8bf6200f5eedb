# DeconvNet's examples: object proposals, and the boxes that its two stages train on.


rule proposals:
    input:
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
        checks=passed_checks(lambda w: w.dataset),
        detector=detector_file,
        edges=edge_maps,
    output:
        f"{DATA}/proposals/{{finder}}/{{dataset}}.h5",
    log:
        f"{RESULTS}/logs/proposals/{{finder}}_{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/proposals/{{finder}}_{{dataset}}.tsv"
    priority: 10  # trainings wait for it
    conda:
        "../../envs/cpu.yaml"
    threads: cores(16)
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        options=finder_options,
        # Like checkpoints no output: it outlives a failed job, and serves pictures that datasets share.
        cache=f"{DATA}/proposals/cache",
    shell:
        "segrepro proposals --manifest {input.manifest} {params.options} --cache {params.cache} "
        "--out {output} --threads {threads} &> {log}"


rule proposal_recall:
    input:
        proposals=f"{DATA}/proposals/{{finder}}/{{dataset}}.h5",
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
    output:
        report(
            f"{RESULTS}/tables/proposals/{{finder}}_{{dataset}}.csv",
            caption="../segrepro/report/captions/proposals.rst",
            category="Tables",
            labels={"table": "recall of the proposals", "dataset": "{dataset}"},
        ),
    log:
        f"{RESULTS}/logs/proposals/recall_{{finder}}_{{dataset}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "segrepro proposal-recall --proposals {input.proposals} --manifest {input.manifest} "
        "--out {output} --threads {threads} &> {log}"


rule object_examples:
    input:
        manifest=lambda w: f"{DATA}/manifests/{CONFIG.models[w.model].dataset}.csv",
        checks=passed_checks(lambda w: CONFIG.models[w.model].dataset),
    output:
        manifest=f"{RESULTS}/models/{{model}}/training_set.csv",
        counts=report(
            f"{RESULTS}/tables/examples/{{model}}.csv",
            caption="../segrepro/report/captions/examples.rst",
            category="Tables",
            labels={"table": "training examples a class", "model": "{model}"},
        ),
    log:
        f"{RESULTS}/logs/examples/{{model}}.log",
    wildcard_constraints:
        model=one_of(ON_OBJECTS),
    priority: 10  # trainings wait for it
    conda:
        "../../envs/cpu.yaml"
    threads: cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        options=lambda w: as_options(
            CONFIG.models[w.model].examples, leave_out=["kind"]
        ),
    shell:
        "segrepro object-examples --manifest {input.manifest} {params.options} --out {output.manifest} "
        "--counts {output.counts} --threads {threads} &> {log}"


rule proposal_examples:
    input:
        manifest=lambda w: f"{DATA}/manifests/{CONFIG.models[w.model].dataset}.csv",
        checks=passed_checks(lambda w: CONFIG.models[w.model].dataset),
        proposals=lambda w: (
            f"{DATA}/proposals/{CONFIG.models[w.model].examples.proposals}/"
            f"{CONFIG.models[w.model].dataset}.h5"
        ),
    output:
        manifest=f"{RESULTS}/models/{{model}}/training_set.csv",
        counts=report(
            f"{RESULTS}/tables/examples/{{model}}.csv",
            caption="../segrepro/report/captions/examples.rst",
            category="Tables",
            labels={"table": "training examples a class", "model": "{model}"},
        ),
    log:
        f"{RESULTS}/logs/examples/{{model}}.log",
    wildcard_constraints:
        model=one_of(ON_PROPOSALS),
    priority: 10  # trainings wait for it
    conda:
        "../../envs/cpu.yaml"
    threads: cores(8)
    resources:
        mem_mb=8000,
        runtime=120,
    params:
        options=lambda w: as_options(
            CONFIG.models[w.model].examples, leave_out=["kind", "proposals"]
        ),
    shell:
        "segrepro proposal-examples --manifest {input.manifest} --proposals {input.proposals} {params.options} "
        "--out {output.manifest} --counts {output.counts} --threads {threads} &> {log}"


rule figure_examples:
    input:
        f"{RESULTS}/models/{{model}}/training_set.csv",
    output:
        report(
            f"{RESULTS}/figures/examples/{{model}}.png",
            caption="../segrepro/report/captions/examples.rst",
            category="Data",
            labels={"figure": "training examples", "model": "{model}"},
        ),
        f"{RESULTS}/figures/examples/{{model}}.pdf",
    log:
        f"{RESULTS}/logs/figures/examples_{{model}}.log",
    wildcard_constraints:
        model=one_of([*ON_OBJECTS, *ON_PROPOSALS]),
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        size=lambda w: CONFIG.protocols[CONFIG.models[w.model].protocol].box_size,
        seed=CONFIG.seed,
    shell:
        "segrepro figure-examples --manifest {input} --title {wildcards.model} --size {params.size} "
        "--seed {params.seed} --out {output} &> {log}"
