# Predictions and CRFs shared between several jobs, for clusters: `runtime: {shards: 8}`, or --set-scatter shards=8.
# The merged store has the bytes of one that was made at once. A store keeps the number of shards that it was first
# made with, so that another number reruns nothing: to share out again, delete results/shards and the store.


ruleorder: gather_scores > predict
ruleorder: gather_scores > crf


use rule predict as predict_shard with:
    output:
        temp(f"{RESULTS}/shards/{{system}}/{{split}}/{{scatteritem}}.h5"),
    log:
        f"{RESULTS}/logs/predict/{{system}}/{{split}}/{{scatteritem}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{system}}/{{split}}/{{scatteritem}}.tsv"


use rule crf as crf_shard with:
    output:
        temp(f"{RESULTS}/shards/{{system}}/{{split}}/{{scatteritem}}.h5"),
    log:
        f"{RESULTS}/logs/crf/{{system}}/{{split}}/{{scatteritem}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/crf/{{system}}/{{split}}/{{scatteritem}}.tsv"


rule gather_scores:
    input:
        parts=lambda w: stores.parts_of(PLAN, w.system, w.split),
        manifest=f"{DATA}/manifests/{{split}}.csv",
    output:
        f"{RESULTS}/scores/{{system}}/{{split}}.h5",
    log:
        f"{RESULTS}/logs/gather_scores/{{system}}/{{split}}.log",
    wildcard_constraints:
        system=GATHERED,
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        order=lambda w: stores.order_option(PLAN, w.system),
        number=lambda w, input: len(input.parts),
        record=lambda w: stores.shards_record(PLAN, w.system, w.split),
    shell:
        "echo {params.number} > {params.record}; "
        "segrepro merge-scores --parts {input.parts} --manifest {input.manifest} {params.order} --out {output} &> {log}"
