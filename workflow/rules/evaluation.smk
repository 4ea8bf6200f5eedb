# From a score store to metrics; and which of the scored pictures a system has seen in its making.


rule evaluate:
    input:
        unpack(lambda w: origin_inputs((w.system, w.split))),
        scores=f"{RESULTS}/scores/{{system}}/{{split}}.h5",
        manifest=f"{DATA}/manifests/{{split}}.csv",
        checks=passed_checks(lambda w: w.split),
    output:
        json=f"{RESULTS}/metrics/{{system}}/{{split}}.json",
        confusions=f"{RESULTS}/metrics/{{system}}/{{split}}.npz",
        fine_grained=f"{RESULTS}/metrics/{{system}}/{{split}}.fine_grained.npz",
    log:
        f"{RESULTS}/logs/evaluate/{{system}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{{system}}/{{split}}.tsv"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        label_space=lambda w: DATASETS[w.split].label_space,
        fine_grained=as_options(CONFIG.fine_grained),
        provenance=lambda w: lineage.origin_options(PLAN, w.system, w.split),
    shell:
        "segrepro evaluate --scores {input.scores} --manifest {input.manifest} "
        "--label-space {params.label_space} --json {output.json} --confusions {output.confusions} "
        "--fine-grained {output.fine_grained} {params.fine_grained} {params.provenance} --threads {threads} &> {log}"


rule audit:
    input:
        lineage=f"{RESULTS}/lineage.json",
        manifests=lineage.audited_manifests(PLAN),
        folds=lineage.fold_reports(PLAN),
    output:
        table=snake.in_report(TABLES["leakage"], f"{RESULTS}/tables/leakage.csv"),
        marks=f"{RESULTS}/leakage.json",
    log:
        f"{RESULTS}/logs/audit.log",
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        caption=entries.caption_of(TABLES["leakage"]),
    shell:
        "segrepro audit --lineage {input.lineage} --out {output.table} --marks {output.marks} &> {log}"


rule near_duplicates:
    input:
        coco=PLAN.compared_manifests(coco=True),
        others=PLAN.compared_manifests(coco=False),
    output:
        table=snake.in_report(
            TABLES["near_duplicates"], f"{RESULTS}/tables/near_duplicates.csv"
        ),
        counts=f"{RESULTS}/near_duplicates.json",
        sheet=snake.in_report(
            FIGURES["near_duplicates"], f"{RESULTS}/figures/near_duplicates.png"
        ),
    log:
        f"{RESULTS}/logs/near_duplicates.log",
    benchmark:
        f"{RESULTS}/benchmarks/near_duplicates.tsv"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        options=as_options(CONFIG.near_duplicates),
        caption=entries.caption_of(FIGURES["near_duplicates"]),
    shell:
        "segrepro near-duplicates --first {input.coco} --second {input.others} --names COCO 'VOC and SBD' "
        "{params.options} --out {output.table} --counts {output.counts} --sheet {output.sheet} --threads {threads} &> {log}"
