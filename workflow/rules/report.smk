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


rule figure_grid:
    input:
        manifest=f"{DATA}/manifests/{{split}}.csv",
        scores=lambda w: [
            f"{RESULTS}/scores/{system}/{w.split}.h5"
            for system in targets.shown(PLAN, w.split, CONFIG.figures.grid)
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        report(
            f"{RESULTS}/figures/grid/{{split}}.png",
            caption="../segrepro/report/captions/grid.rst",
            category="Predictions",
            labels={"figure": "picture, truth, predictions", "split": "{split}"},
        ),
        f"{RESULTS}/figures/grid/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/grid_{{split}}.log",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=20,
    params:
        choice=lambda w: targets.grid_options(PLAN, w.split),
    shell:
        "segrepro figure-grid --manifest {input.manifest} --scores {input.scores} {params.choice} "
        "--leakage {input.leakage} --split {wildcards.split} --out {output} --threads {threads} &> {log}"


rule figure_classes:
    input:
        confusions=lambda w: [
            f"{RESULTS}/metrics/{system}/{w.split}.npz"
            for system in targets.in_class_bars(PLAN, "class_bars", w.split)
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        report(
            f"{RESULTS}/figures/class_bars/{{split}}.png",
            caption="../segrepro/report/captions/class_bars.rst",
            category="Classes",
            labels={"figure": "class_bars", "split": "{split}"},
        ),
        f"{RESULTS}/figures/class_bars/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/class_bars_{{split}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        names=lambda w: " ".join(targets.in_class_bars(PLAN, "class_bars", w.split)),
        weakest="",
        space=lambda w: DATASETS[w.split].label_space,
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro figure-classes --confusions {input.confusions} --names {params.names} {params.weakest} "
        "--split {wildcards.split} --label-space {params.space} --leakage {input.leakage} {params.bootstrap} "
        "--out {output} &> {log}"


use rule figure_classes as figure_weak_classes with:
    input:
        confusions=lambda w: [
            f"{RESULTS}/metrics/{system}/{w.split}.npz"
            for system in targets.in_class_bars(PLAN, "weak_classes", w.split)
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        report(
            f"{RESULTS}/figures/weak_classes/{{split}}.png",
            caption="../segrepro/report/captions/weak_classes.rst",
            category="Classes",
            labels={"figure": "weak_classes", "split": "{split}"},
        ),
        f"{RESULTS}/figures/weak_classes/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/weak_classes_{{split}}.log",
    params:
        names=lambda w: " ".join(targets.in_class_bars(PLAN, "weak_classes", w.split)),
        weakest=lambda w: f"--weakest {CONFIG.figures.weak_classes.classes}",
        space=lambda w: DATASETS[w.split].label_space,
        bootstrap=PLAN.bootstrap,
