# What the rules share: the validated config, the places of files, and what is of which kind.
import hashlib
import json
import re
import shlex

import yaml

from segrepro.config import in_order_of, model_spec, parse_config
from segrepro.config.data import GENERATED, DatasetChecks
from segrepro.config.crf import PARAMETERS
from segrepro.console import print_progress
from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.stores.manifests import check_listed
from segrepro.graph import SYSTEM, WEIGHTS, graph_of
from segrepro.keys import refuse_twins
from segrepro.locks import hold_run_lock
from segrepro.report.declared import declared
from segrepro.training.choices import require_tensorboard
from segrepro.training.sharing import gpus_that_share

with open(f"{workflow.basedir}/config.yaml") as stream:
    PUBLISHED = yaml.safe_load(stream)
try:
    for file in workflow.configfiles:
        refuse_twins(file)
    CONFIG = parse_config(in_order_of(PUBLISHED, config))
except UserError as error:
    raise WorkflowError(str(error))

# Parts of datasets that CRFs are tuned on, or stackers fitted on: they have manifests of their own.
SUBSETS = {name: part for name, part in CONFIG.held.items() if part.pictures}

# The generated data and what is made of them stay apart from the real ones.
DATA = "data/sample" if CONFIG.scale == "sample" else "data"
RESULTS = "results" if CONFIG.scale == "sample" else "results/full"

# What each system is made of and has seen, for the audit of leakage.
GRAPH = graph_of(
    CONFIG,
    manifest=f"{DATA}/manifests/{{name}}.csv",
    fold_report=f"{RESULTS}/stackers/{{system}}/{{split}}.json",
)

# At full scale the jobs that need a network get the environment with CUDA.
NETWORK_ENVIRONMENT = (
    f"{workflow.basedir}/envs/{'cpu' if CONFIG.scale == 'sample' else 'gpu'}.yaml"
)


def cores(full):
    """The threads of a job over pictures: of the few of the sample, rather several jobs at once."""
    return full if CONFIG.scale == "full" else 1


# A sample-sized network gains little from a second core and nothing from a GPU: rather several jobs at once.
NETWORK_THREADS, NETWORK_GPUS = (1, 0) if CONFIG.scale == "sample" else (8, 1)
CHECKPOINTS = f"--checkpoint-minutes {CONFIG.runtime.checkpoint_minutes:g}" + (
    f" --checkpoint-every {CONFIG.runtime.checkpoint_every}"
    if CONFIG.runtime.checkpoint_every
    else ""
)
DETERMINISM = "" if CONFIG.runtime.deterministic else "--no-deterministic"
TENSORBOARD = (
    f"--tensorboard {RESULTS}/models/{{wildcards.model}}/tensorboard"
    if CONFIG.runtime.tensorboard
    else ""
)

# Jobs call `segrepro`: with the interpreter that runs Snakemake, or under --sdm conda with the environment's.
in_conda = "conda" in {
    str(method) for method in workflow.deployment_settings.deployment_method
}

if CONFIG.runtime.tensorboard and not in_conda:
    try:
        require_tensorboard()  # hours before the first training would ask for it
    except UserError as error:
        raise WorkflowError(str(error))


def in_shell(path):
    """A path as a word of a shell command that Snakemake formats."""
    return shlex.quote(path).replace("{", "{{").replace("}", "}}")


# When all are told to stop (preemption), a job's shell stays until the verb has answered.
# A verb stops by itself when the Snakemake that started it is gone.
shell.prefix(
    "set -euo pipefail; trap : INT TERM; export SEGREPRO_STARTED_BY=$PPID; "
    f"segrepro() {{{{ trap : INT TERM; PYTHONPATH={in_shell(f'{workflow.basedir}/workflow')} "
    f"{'python' if in_conda else in_shell(sys.executable)} -m segrepro \"$@\"; }}}}; "
)


def start_alone():
    """Refuse to start where another run of this scale is at work; called once a run."""
    try:
        hold_run_lock(Path(f".snakemake/segrepro-{CONFIG.scale}.lock"))
    except UserError as error:
        raise WorkflowError(str(error))


def rules_sha256():
    """A hash of what the Snakefile and the rule files say."""
    root = Path(str(workflow.basedir))
    files = [root / "Snakefile", *sorted((root / "workflow/rules").glob("*.smk"))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def one_of(names):
    """A wildcard constraint: one of these names, or nothing at all where there are none."""
    return "|".join(names) or "(?!)"


# Models that train here, and those that published weights stand in for.
TRAINED = [name for name, model in CONFIG.models.items() if model.train]
IMPORTED = [name for name, model in CONFIG.models.items() if not model.train]
# Models that train on boxes: on objects, or on proposals.
ON_OBJECTS, ON_PROPOSALS = (
    [
        name
        for name, model in CONFIG.models.items()
        if model.examples and model.examples.kind == kind
    ]
    for kind in ("objects", "proposals")
)
# Systems that predict whole pictures, box by box, and those that combine others.
BOX_BY_BOX = [name for name, system in CONFIG.systems.items() if system.proposal_wise]
FUSED = [name for name, system in CONFIG.systems.items() if system.fusion]
STACKED = [name for name, system in CONFIG.systems.items() if system.stacking]
REFINED = [name for name, system in CONFIG.systems.items() if system.crf]
TUNED = [name for name in REFINED if CONFIG.systems[name].crf.search]
# Those that are tuned or fitted on pictures that they are not scored on.
HOLDING = [name for name, system in CONFIG.systems.items() if system.held]
COMBINED = {*FUSED, *STACKED, *REFINED}
WHOLE = [name for name in CONFIG.systems if name not in {*BOX_BY_BOX, *COMBINED}]


wildcard_constraints:
    dataset="|".join(DATASETS),
    split="|".join([*DATASETS, *SUBSETS]),
    model="[a-z0-9_]+",
    system="[a-z0-9_]+",
    finder=one_of(CONFIG.proposals),
