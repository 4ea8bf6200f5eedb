# The report page: one folder that opens from disk, with an explorer of every prediction.


# Snakemake's own drawing of the rules, as text; it only plans, and takes no lock.
# Drawn again when what the rules say changes, not when a checkout touches their files.
rule rule_graph:
    input:
        f"{RESULTS}/config.json",
    output:
        f"{RESULTS}/rules.dot",
    log:
        f"{RESULTS}/logs/page/rule_graph.log",
    localrule: True
    params:
        snakemake=snake.interpreter(workflow),
        snakefile=lambda w: workflow.main_snakefile,
        rules=snake.rules_sha256(workflow),
    shell:
        "{params.snakemake:q} -m snakemake --snakefile {params.snakefile:q} --configfile {input} "
        "--rulegraph dot > {output} 2> {log}"


# One job per split for all systems, in as many processes as it gets: a picture's maps belong together.
rule page_pictures:
    input:
        manifest=f"{DATA}/manifests/{{split}}.csv",
        scores=lambda w: [PLAN.scores(*pair) for pair in PLAN.scored(w.split)],
        confusions=lambda w: [
            PLAN.metrics(*pair, "npz") for pair in PLAN.scored(w.split)
        ],
    output:
        directory(f"{RESULTS}/report/pictures/{{split}}"),
    log:
        f"{RESULTS}/logs/page/pictures_{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/page_pictures/{{split}}.tsv"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        label_space=lambda w: DATASETS[w.split].label_space,
    shell:
        "segrepro page-pictures --manifest {input.manifest} --scores {input.scores} "
        "--confusions {input.confusions} --label-space {params.label_space} --out {output} "
        "--threads {threads} &> {log}"


rule page:
    input:
        **targets.on_the_page(PLAN),
        config=f"{RESULTS}/config.json",
        leakage=f"{RESULTS}/leakage.json",
        lineage=f"{RESULTS}/lineage.json",
        rules=f"{RESULTS}/rules.dot",
        provenance=f"{RESULTS}/provenance.json",
    output:
        f"{RESULTS}/report/index.html",
        f"{RESULTS}/report/times.js",
        directory(f"{RESULTS}/report/assets"),
        directory(f"{RESULTS}/report/figures"),
        directory(f"{RESULTS}/report/tables"),
    log:
        f"{RESULTS}/logs/page/page.log",
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        results=lambda w, output: os.path.dirname(os.path.dirname(output[0])),
        benchmarks=f"{RESULTS}/benchmarks",
        jobs=stores.timed_jobs(PLAN),
        measured_on=CONFIG.pictures,
        folder=lambda w, output: os.path.dirname(output[0]),
    shell:
        "segrepro page --results {params.results} --tables {input.tables} --figures {input.figures} "
        "--pictures {input.pictures} --config {input.config} --leakage {input.leakage} "
        "--lineage {input.lineage} --provenance {input.provenance} --rule-graph {input.rules} "
        "--benchmarks {params.benchmarks} --jobs {params.jobs:q} --measured-on {params.measured_on} "
        "--out {params.folder} &> {log}"
