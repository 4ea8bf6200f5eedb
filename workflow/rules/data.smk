# From archives to manifests that have passed the label checks.


if PLAN.sample:

    rule sample_archives:
        output:
            expand(
                f"{GENERATED}/{{file}}",
                file=[
                    "VOCtrainval_11-May-2012.tar",
                    "VOC2012test.tar",
                    "benchmark.tgz",
                    "train2017.zip",
                    "val2017.zip",
                    "annotations_trainval2017.zip",
                    "SHA256SUMS",
                ],
            ),
            preview=report(
                f"{RESULTS}/figures/sample.png",
                caption="../segrepro/report/captions/sample.rst",
                category="Data",
                labels={"figure": "generated sample scenes"},
            ),
        log:
            f"{RESULTS}/logs/sample.log",
        benchmark:
            f"{RESULTS}/benchmarks/sample.tsv"
        conda:
            "../../envs/cpu.yaml"
        threads: 8
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            settings=datasets.sample_options(PLAN),
            folder=lambda w, output: os.path.dirname(output[0]),
        shell:
            "segrepro sample --out {params.folder} {params.settings} "
            "--preview {output.preview} --threads {threads} &> {log}"


rule fetch:
    input:
        lambda w: fetching.generated_source(PLAN, w.archive),
    output:
        f"{DATA}/downloads/{{archive}}",
    log:
        f"{RESULTS}/logs/fetch/{{archive}}.log",
    localrule: True  # compute nodes of a cluster often have no way out
    conda:
        "../../envs/cpu.yaml"
    resources:
        # Not parameters, which would trigger: another mirror, or a checksum that was not known before, must not fetch,
        # convert and train everything anew. A checksum that is changed is compared with the file here by rule checksum.
        source=lambda w: fetching.fetch_options(PLAN, w.archive),
    shell:
        "segrepro fetch --out {output} {resources.source} "
        f"--attempts {CONFIG.runtime.fetch_attempts} --stall-seconds {CONFIG.runtime.fetch_stall_seconds} "
        "&> {log}"


rule convert_voc2012:
    input:
        fetching.download(PLAN, CONFIG.archives.voc2012_trainval),
    output:
        directory(f"{DATA}/voc2012"),
    log:
        f"{RESULTS}/logs/convert/voc2012.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert/voc2012.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=60,
    shell:
        "segrepro convert-voc --archive {input} --out {output} --threads {threads} &> {log}"


if CONFIG.archives.voc2012_test is not None:

    rule convert_voc2012_test:
        input:
            fetching.download(PLAN, CONFIG.archives.voc2012_test),
        output:
            directory(f"{DATA}/voc2012_test"),
        log:
            f"{RESULTS}/logs/convert/voc2012_test.log",
        benchmark:
            f"{RESULTS}/benchmarks/convert/voc2012_test.tsv"
        conda:
            "../../envs/cpu.yaml"
        threads: PLAN.cores(8)
        resources:
            mem_mb=4000,
            runtime=60,
        shell:
            "segrepro convert-voc --test --archive {input} --out {output} --threads {threads} &> {log}"


rule convert_sbd:
    input:
        fetching.download(PLAN, CONFIG.archives.sbd),
    output:
        directory(f"{DATA}/sbd"),
    log:
        f"{RESULTS}/logs/convert/sbd.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert/sbd.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=120,
    shell:
        "segrepro convert-sbd --archive {input} --out {output} --threads {threads} &> {log}"


rule convert_coco2017:
    input:
        pictures=lambda w: fetching.download(
            PLAN,
            (
                CONFIG.archives.coco2017_train
                if w.coco_split == "train2017"
                else CONFIG.archives.coco2017_val
            ),
        ),
        annotations=fetching.download(PLAN, CONFIG.archives.coco2017_annotations),
    output:
        directory(f"{DATA}/coco2017/{{coco_split}}"),
    log:
        f"{RESULTS}/logs/convert/coco2017_{{coco_split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/convert/coco2017_{{coco_split}}.tsv"
    wildcard_constraints:
        coco_split="train2017|val2017",
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.cores(16)
    resources:
        mem_mb=6000,
        runtime=480,
    params:
        min_pixels=CONFIG.coco.min_pixels,
    shell:
        "segrepro convert-coco --pictures {input.pictures} --annotations {input.annotations} "
        "--split {wildcards.coco_split} --min-pixels {params.min_pixels} "
        "--out {output} --threads {threads} &> {log}"


rule manifest:
    input:
        lambda w: datasets.folders(PLAN, w.dataset),
        lambda w: compare_standing() or [],
    output:
        f"{DATA}/manifests/{{dataset}}.csv",
    log:
        f"{RESULTS}/logs/manifest/{{dataset}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        folders=lambda w: datasets.manifest_options(PLAN, w.dataset),
    shell:
        "segrepro manifest {wildcards.dataset} --out {output} {params.folders} &> {log}"


rule check_labels:
    input:
        manifest=f"{DATA}/manifests/{{dataset}}.csv",
        others=lambda w: datasets.disjoint_from(PLAN, w.dataset),
    output:
        f"{RESULTS}/checks/{{dataset}}.json",
    log:
        f"{RESULTS}/logs/checks/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/checks/{{dataset}}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: PLAN.cores(8)
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        options=lambda w: datasets.check_options(PLAN, w.dataset),
    shell:
        "segrepro check-labels --manifest {input.manifest} {params.options} "
        "--json {output} --threads {threads} &> {log}"


# Of the data and the bounds that passed last, whatever became of later checks: see passed_checks in common.smk.
rule passed_checks:
    input:
        f"{DATA}/manifests/{{dataset}}.csv",
        f"{RESULTS}/checks/{{dataset}}.json",
    output:
        update(f"{RESULTS}/checks/{{dataset}}.passed"),  # never missing, not for a moment
    log:
        f"{RESULTS}/logs/checks/{{dataset}}_passed.log",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    params:
        options=lambda w: datasets.check_options(PLAN, w.dataset),
    shell:
        "touch {output} 2> {log}"


rule figure_labels:
    input:
        f"{RESULTS}/checks/{{dataset}}.json",
    output:
        report(
            f"{RESULTS}/figures/labels/{{dataset}}.png",
            caption="../segrepro/report/captions/labels.rst",
            category="Data",
            labels={"figure": "label histogram", "dataset": "{dataset}"},
        ),
        f"{RESULTS}/figures/labels/{{dataset}}.pdf",
    log:
        f"{RESULTS}/logs/figures/labels_{{dataset}}.log",
    conda:
        "../../envs/cpu.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "segrepro figure-labels --checks {input} --out {output} &> {log}"
