# What systems keep of detail: boundary IoU, mIoU near boundaries, IoU of small and large objects; confusion matrices.


rule table_boundary:
    input:
        detail=[
            f"{RESULTS}/metrics/{system}/{split}.detail.npz"
            for system, split in PLAN.scored()
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        csv=report(
            f"{RESULTS}/tables/boundary.csv",
            caption="../segrepro/report/captions/boundary.rst",
            category="Tables",
            labels={"table": "boundaries and object sizes"},
        ),
        forms=[f"{RESULTS}/tables/boundary.{form}" for form in ("md", "tex")],
    log:
        f"{RESULTS}/logs/table_boundary.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        bootstrap=PLAN.bootstrap,
        measured_on=CONFIG.pictures,
    shell:
        "segrepro table-boundary --detail {input.detail} --leakage {input.leakage} {params.bootstrap} "
        "--measured-on {params.measured_on} --out {output.csv} &> {log}"


rule figure_trimap:
    input:
        detail=lambda w: [
            f"{RESULTS}/metrics/{system}/{w.split}.detail.npz"
            for system in targets.shown(PLAN, w.split, CONFIG.figures.compared)
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        png=report(
            f"{RESULTS}/figures/trimap/{{split}}.png",
            caption="../segrepro/report/captions/trimap.rst",
            category="Metrics",
            labels={"figure": "near boundaries", "split": "{split}"},
        ),
        pdf=f"{RESULTS}/figures/trimap/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/trimap_{{split}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro figure-trimap --detail {input.detail} --leakage {input.leakage} {params.bootstrap} "
        "--out {output} &> {log}"


rule figure_sizes:
    input:
        detail=lambda w: [
            f"{RESULTS}/metrics/{system}/{w.split}.detail.npz"
            for system in targets.shown(PLAN, w.split, CONFIG.figures.compared)
        ],
        leakage=f"{RESULTS}/leakage.json",
    output:
        png=report(
            f"{RESULTS}/figures/object_sizes/{{split}}.png",
            caption="../segrepro/report/captions/object_sizes.rst",
            category="Metrics",
            labels={"figure": "boundary IoU, object sizes", "split": "{split}"},
        ),
        pdf=f"{RESULTS}/figures/object_sizes/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/object_sizes_{{split}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro figure-sizes --detail {input.detail} --leakage {input.leakage} {params.bootstrap} "
        "--out {output} &> {log}"


rule figure_confusion:
    input:
        confusions=f"{RESULTS}/metrics/{{system}}/{{split}}.npz",
        leakage=f"{RESULTS}/leakage.json",
    output:
        png=report(
            f"{RESULTS}/figures/confusion/{{system}}/{{split}}.png",
            caption="../segrepro/report/captions/confusion.rst",
            category="Metrics",
            labels={"figure": "confusion", "system": "{system}", "split": "{split}"},
        ),
        pdf=f"{RESULTS}/figures/confusion/{{system}}/{{split}}.pdf",
    log:
        f"{RESULTS}/logs/figures/confusion_{{system}}_{{split}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        space=lambda w: DATASETS[w.split].label_space,
        bootstrap=PLAN.bootstrap,
    shell:
        "segrepro figure-confusion --confusions {input.confusions} --system {wildcards.system} --split {wildcards.split} "
        "--leakage {input.leakage} --label-space {params.space} {params.bootstrap} --out {output} &> {log}"
