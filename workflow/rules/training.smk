# From a manifest and a spec to a trained model.


# A resolved part of the config: a model's spec, and what the audit, the tables and the page are told of the config. All
# that a model's weights depend on, besides data and code, is in its spec: a change reruns this rule, and with it just
# the models that it touches.
rule spec:
    output:
        f"{RESULTS}/{{part}}",
    log:
        f"{RESULTS}/logs/spec/{{part}}.log",
    wildcard_constraints:
        part=one_of(map(re.escape, resolved.parts(PLAN))),
    localrule: True
    params:
        part=lambda w: resolved.resolved(PLAN, w.part, config),
    shell:
        "segrepro spec --json {params.part:q} --out {output} &> {log}"


rule train:
    input:
        spec=f"{RESULTS}/models/{{model}}/spec.yaml",
        manifest=lambda w: models.training_set(PLAN, w.model),
        checks=passed_checks(lambda w: CONFIG.models[w.model].dataset),
        init=lambda w: models.initial_weights(PLAN, w.model),
    output:
        model=f"{RESULTS}/models/{{model}}/model.keras",
        history=f"{RESULTS}/models/{{model}}/history.csv",
        made=f"{RESULTS}/models/{{model}}/made.json",
    log:
        f"{RESULTS}/logs/train/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(PLAN.trained),
    priority: 10  # the longest jobs first; others fill up the cores beside them
    conda:
        NETWORK_ENVIRONMENT
    threads: PLAN.network_threads
    resources:
        gpu=lambda w: models.training_gpus(PLAN, w.model),
        tasks_per_gpu=0,  # one process has them all; Slurm's plugin would start one for each
        mem_mb=PLAN.training_mb,
        runtime=2880,
    params:
        init=lambda w, input: f"--init {input.init}" if input.init else "",
        # Checkpoints are no outputs: Snakemake deletes the outputs of failed jobs.
        checkpoints=f"{RESULTS}/models/{{model}}/checkpoints",
    shell:
        "segrepro train --spec {input.spec} --manifest {input.manifest} {params.init} "
        "--model {output.model} --history {output.history} --made {output.made} --checkpoints {params.checkpoints} "
        f"{models.training_options(PLAN)} "
        "--gpus {resources.gpu} --threads {threads} &> {log}"


rule import_weights:
    input:
        spec=f"{RESULTS}/models/{{model}}/spec.yaml",
        weights=lambda w: models.published_weights(PLAN, w.model),
    output:
        model=f"{RESULTS}/models/{{model}}/model.keras",
        made=f"{RESULTS}/models/{{model}}/made.json",
    log:
        f"{RESULTS}/logs/import/{{model}}.log",
    wildcard_constraints:
        model=one_of(PLAN.imported),
    priority: 20  # a checkpoint of another network is refused before anything trains
    conda:
        NETWORK_ENVIRONMENT
    threads: 2
    resources:
        gpu=PLAN.network_gpus,
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda w: models.import_options(PLAN, w.model),
    shell:
        "segrepro import-weights --spec {input.spec} --weights {input.weights} {params.options} "
        "--out {output.model} --made {output.made} --gpus {resources.gpu} "
        "--threads {threads} &> {log}"
