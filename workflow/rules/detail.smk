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
