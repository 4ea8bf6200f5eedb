# segrepro: from the archives of VOC 2012, SBD and COCO to the comparison tables, in one graph.
#
#   snakemake --cores all --resources gpu=1          everything, at sample scale
#   snakemake results/tables/miou.csv                one table and what it needs
#   snakemake --config scale=full -n                 what the published experiment would run
#
# The rules only wire files; all logic is in the package workflow/segrepro, one verb of its command line per rule.
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


include: "workflow/rules/scale.smk"


configfile: SCALE_OVERLAY


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/examples.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/inference.smk"
include: "workflow/rules/fusion.smk"
include: "workflow/rules/tuning.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/submission.smk"
include: "workflow/rules/page.smk"


# One run at a time in a folder with generated pictures, and one with real ones. This lock dies with Snakemake, however
# that ends; its own, which the default profile switches off, would have to be removed by hand after a kill.
onstart:
    start_alone()
    snake.check_disk(workflow, PLAN)
    print_progress(workflow, logger, estimates=PLAN.sample)


# A GPU is a thing of one machine: a limit given for a laptop must not serialise a cluster.
resource_scopes:
    gpu="local",


rule all:
    default_target: True
    input:
        targets.tables(PLAN),
        targets.figures(PLAN),
        targets.label_checks(PLAN),
        targets.submissions(PLAN),
        f"{RESULTS}/report/index.html",
    localrule: True


# Data only: every dataset of the config, converted and checked, without any training.
rule datasets:
    input:
        targets.label_checks(PLAN),
    localrule: True


# Last, because it looks at all rules: their environment, and more memory for jobs that are submitted again.
snake.complete_rules(workflow)
