# Tables and figures.


rule statistics:
    input:
        metrics=[PLAN.metrics(*pair) for pair in PLAN.scored()],
        confusions=[PLAN.metrics(*pair, "npz") for pair in PLAN.scored()],
    output:
        f"{RESULTS}/statistics.json",
    log:
        f"{RESULTS}/logs/statistics.log",
    benchmark:
        f"{RESULTS}/benchmarks/statistics.tsv"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro statistics --metrics {input.metrics} --confusions {input.confusions} {params.bootstrap} "
        "--out {output} &> {log}"


# A rule for each table and figure that a verb makes; which there are stands in segrepro/report/tables.py and figures.py.
for entry in entries.made_by_verbs():

    rule:
        name:
            f"{entry.kind}_{entry.name}"
        input:
            entries.inputs_of(PLAN, entry),
        output:
            snake.in_report(entry, entries.files_of(PLAN, entry)[0]),
            *entries.files_of(PLAN, entry)[1:],
        log:
            f"{RESULTS}/logs/{entry.kind}s/{entry.place}.log",
        wildcard_constraints:
            **entry.constraints(PLAN),
        conda:
            NETWORK_ENVIRONMENT if entry.network else None
        threads: PLAN.network_threads if entry.network else PLAN.cores(entry.cores)
        resources:
            gpu=PLAN.network_gpus if entry.network else 0,
            mem_mb=entry.memory,
            runtime=entry.minutes,
        params:
            kind=entry.kind,
            name=entry.name,
            options=entries.options_of(PLAN, entry),
            caption=entries.caption_of(entry),
            job=entries.job_options(entry),
        shell:
            "segrepro {params.kind} {params.name} {params.options} --out {output} {params.job} &> {log}"
