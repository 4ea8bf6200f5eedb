# Where every number comes from: checksums of what was fetched, and one page of it all.


rule checksum:
    input:
        f"{DATA}/downloads/{{archive}}",
    output:
        f"{RESULTS}/checksums/{{archive}}.json",
    log:
        f"{RESULTS}/logs/checksum/{{archive}}.log",
    resources:
        mem_mb=500,
        runtime=30,
    params:
        expected=lambda w: fetching.fetch_expectation(PLAN, w.archive),
    shell:
        "segrepro checksum {input} {params.expected} --out {output} &> {log}"


rule provenance:
    input:
        **origin_inputs(*PLAN.scored()),
        metrics=[PLAN.metrics(*pair) for pair in PLAN.scored()],
    output:
        json=f"{RESULTS}/provenance.json",
        table=snake.in_report(TABLES["provenance"], f"{RESULTS}/tables/provenance.csv"),
    log:
        f"{RESULTS}/logs/provenance.log",
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        scale=CONFIG.scale,
        provenance=lineage.experiment_options(PLAN),
        caption=entries.caption_of(TABLES["provenance"]),
    shell:
        "segrepro provenance --metrics {input.metrics} --scale {params.scale} {params.provenance} "
        "--out {output.json} --table {output.table} &> {log}"
