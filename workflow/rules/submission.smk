# From a system's predictions of VOC's test pictures to the archive for the evaluation server.


rule submission:
    input:
        unpack(lambda w: origin_inputs((w.system, "voc_test"))),
        scores=f"{RESULTS}/scores/{{system}}/voc_test.h5",
        manifest=f"{DATA}/manifests/voc_test.csv",
        checks=passed_checks(lambda w: "voc_test"),
    output:
        archive=f"{RESULTS}/submission/{{system}}/results.tar.gz",
        entry=f"{RESULTS}/submission/{{system}}/entry.json",
    log:
        f"{RESULTS}/logs/submission/{{system}}.log",
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        competition=lambda w: competition(CONFIG, PLAN.graph, w.system),
        sources=lambda w: external_sources(CONFIG, PLAN.graph, w.system),
        provenance=lambda w: lineage.origin_options(PLAN, w.system, "voc_test"),
    shell:
        "(segrepro submission --scores {input.scores} --manifest {input.manifest} "
        "--competition {params.competition} --sources {params.sources:q} {params.provenance} "
        "--out {output.archive} --entry {output.entry} --threads {threads}; "
        "segrepro check-submission {output.archive} --manifest {input.manifest}) &> {log}"
