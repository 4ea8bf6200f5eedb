# Tables and figures.


rule statistics:
    input:
        metrics=[
            f"{RESULTS}/metrics/{system}/{split}.json"
            for system, split in PLAN.scored()
        ],
        confusions=[
            f"{RESULTS}/metrics/{system}/{split}.npz"
            for system, split in PLAN.scored()
        ],
    output:
        f"{RESULTS}/statistics.json",
    log:
        f"{RESULTS}/logs/statistics.log",
    benchmark:
        f"{RESULTS}/benchmarks/statistics.tsv"
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro statistics --metrics {input.metrics} --confusions {input.confusions} {params.bootstrap} "
        "--out {output} &> {log}"


rule tables:
    input:
        metrics=[
            f"{RESULTS}/metrics/{system}/{split}.json"
            for system, split in PLAN.scored()
        ],
        reported=f"{RESULTS}/metrics/reported.json",
        declared=f"{RESULTS}/metrics/declared.json",
        statistics=f"{RESULTS}/statistics.json",
        leakage=f"{RESULTS}/leakage.json",
    output:
        [
            report(
                f"{RESULTS}/tables/{table}.csv",
                caption=f"../segrepro/report/captions/{table}.rst",
                category="Tables",
                labels={"table": label},
            )
            for table, label in targets.COMPARISONS.items()
        ],
        [
            f"{RESULTS}/tables/{table}.{form}"
            for table in targets.COMPARISONS
            for form in ("md", "tex")
        ],
    log:
        f"{RESULTS}/logs/tables.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        folder=lambda w, output: os.path.dirname(output[0]),
        measured_on=CONFIG.pictures,
        seed_deviation=CONFIG.statistics.seed_deviation,
    shell:
        "segrepro tables --metrics {input.metrics} --reported {input.reported} --declared {input.declared} "
        "--statistics {input.statistics} --leakage {input.leakage} --measured-on {params.measured_on} "
        "--seed-deviation {params.seed_deviation} --out {params.folder} &> {log}"


# A rule for each figure that a verb draws; which there are stands in segrepro/report/figures.py.
for entry in filter(lambda entry: entry.made_by, FIGURES.values()):

    rule:
        name:
            f"figure_{entry.name}"
        input:
            entries.inputs_of(PLAN, entry),
        output:
            snake.in_report(entry, f"{RESULTS}/figures/{entry.place}.png"),
            f"{RESULTS}/figures/{entry.place}.pdf",
        log:
            f"{RESULTS}/logs/figures/{entry.place}.log",
        wildcard_constraints:
            **entry.constraints(PLAN),
        conda:
            NETWORK_ENVIRONMENT if entry.network else "../../envs/cpu.yaml"
        threads: PLAN.network_threads if entry.network else PLAN.cores(entry.cores)
        resources:
            gpu=PLAN.network_gpus if entry.network else 0,
            mem_mb=entry.memory,
            runtime=entry.minutes,
        params:
            figure=entry.name,
            options=entries.options_of(PLAN, entry),
            caption=entries.caption_of(entry),
            job=entries.job_options(entry),
        shell:
            "segrepro figure {params.figure} {params.options} --out {output} {params.job} &> {log}"
