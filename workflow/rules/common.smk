# What the rules share: the validated config, the plan of its files, and what each wildcard may be.
from functools import cache

from segrepro.console import print_progress
from segrepro.data.datasets import DATASETS
from segrepro.locks import hold_run_lock
from segrepro.options import as_options
from segrepro.plan import (
    Plan,
    datasets,
    entries,
    fetching,
    lineage,
    models,
    resolved,
    snake,
    stores,
    systems,
    targets,
)
from segrepro.plan.experiment import one_of
from segrepro.report.competition import competition, external_sources
from segrepro.report.figures import FIGURES
from segrepro.report.tables import TABLES

with snake.in_words():
    CONFIG = snake.validated(workflow, config)


scattergather:
    shards=CONFIG.runtime.shards,


PLAN = Plan(CONFIG, shards=len(gather.shards("{scatteritem}")))
DATA, RESULTS = PLAN.data, PLAN.results

with snake.in_words():
    fetching.check_places(PLAN)
    datasets.check_grid_ids(PLAN)
    GATHERED = stores.gathered(PLAN)

# At full scale the jobs that need a network get the environment with CUDA; all others envs/cpu.yaml, by default.
NETWORK_ENVIRONMENT = f"{workflow.basedir}/envs/{'cpu' if PLAN.sample else 'gpu'}.yaml"
shell.prefix(snake.shell_prefix(workflow))
# Results whose records are gone are compared with the config once a run, before the first manifest.
compare_standing = cache(lambda: snake.compare_standing(workflow, PLAN, config))


def start_alone():
    """Refuse to start where another run with this data folder is at work; called once a run."""
    with snake.in_words():
        hold_run_lock(
            Path(f".snakemake/segrepro-{'sample' if PLAN.sample else 'full'}.lock")
        )


def passed_checks(dataset):
    """That a dataset (a function of the wildcards gives its name) has passed its label checks, as a rule input.

    Data that fail stop the run before the job. Ancient, and not what check_labels writes: Snakemake deletes that
    before other bounds are checked, and an ancient input that is missing triggers. So these make again the checks
    alone, also after some have failed, and nothing that was made of data that had passed.
    """
    return ancient(lambda w: PLAN.passed(dataset(w)))


def origin_inputs(*pairs):
    """What the provenance of (system, split) pairs is read from: the files of each option, as rule inputs.

    Ancient: a checksum or a bound that the config changes is checked again, and makes nothing again; files and pictures
    that are others do, by way of what is made of them.
    """
    files = lineage.origin_inputs(PLAN, *pairs)
    checked = {key: [*map(ancient, files[key])] for key in ("checksums", "datasets")}
    return files | checked


wildcard_constraints:
    archive=one_of(sorted(map(re.escape, fetching.fetched(PLAN)))),
    dataset=one_of(DATASETS),
    split=one_of([*DATASETS, *PLAN.subsets]),
    model="[a-z0-9_]+",
    system="[a-z0-9_]+",
    proposals=one_of(CONFIG.proposals),
