# What the rules share: the validated config, the places of files, and the targets.
import json
import os
import re
import shlex
import sys
from pathlib import Path

sys.path.insert(
    0, f"{workflow.basedir}/workflow"
)  # the package of this checkout, before any installed one

from snakemake.exceptions import WorkflowError

from segrepro.config import model_spec, parse_config
from segrepro.config.data import DatasetChecks
from segrepro.config.crf import PARAMETERS
from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.errors import UserError
from segrepro.evaluation.lineage import lineage
from segrepro.locks import hold_run_lock
from segrepro.report.declared import declared

try:
    CONFIG = parse_config(config)
except UserError as error:
    raise WorkflowError(str(error))

# Parts of datasets that CRFs are tuned on: they have manifests of their own.
SUBSETS = {name: search for name, search in CONFIG.tuning.items() if search.pictures}

# The generated data and what is made of them stay apart from the real ones.
DATA = "data/sample" if CONFIG.scale == "sample" else "data"
RESULTS = "results" if CONFIG.scale == "sample" else "results/full"
GENERATED = "data/sample/archives"

# What each system is made of and has seen, for the audit of leakage.
LINEAGE = lineage(
    CONFIG,
    manifests={name: f"{DATA}/manifests/{name}.csv" for name in [*DATASETS, *SUBSETS]},
    fold_report=f"{RESULTS}/stackers/{{system}}/{{split}}.json",
)

# At full scale the jobs that need a network get the environment with CUDA.
NETWORK_ENVIRONMENT = (
    f"{workflow.basedir}/envs/{'cpu' if CONFIG.scale == 'sample' else 'gpu'}.yaml"
)
# A sample-sized network gains little from a second core and nothing from a GPU: rather several jobs at once.
NETWORK_THREADS, NETWORK_GPUS = (1, 0) if CONFIG.scale == "sample" else (8, 1)
TENSORBOARD = (
    f"--tensorboard {RESULTS}/models/{{wildcards.model}}/tensorboard"
    if CONFIG.runtime.tensorboard
    else ""
)

# Jobs call `segrepro`: with the interpreter that runs Snakemake, or under --sdm conda with the environment's.
in_conda = "conda" in {
    str(method) for method in workflow.deployment_settings.deployment_method
}
# When all are told to stop (preemption), a job's shell and the writer of its log stay until the verb has answered.
# A verb stops by itself when the Snakemake that started it is gone.
shell.prefix(
    "set -euo pipefail; trap : INT TERM; export SEGREPRO_STARTED_BY=$PPID; "
    "tee() {{ (trap '' INT TERM; exec tee \"$@\"); }}; "
    f"segrepro() {{{{ trap : INT TERM; PYTHONPATH={workflow.basedir}/workflow "
    f"{'python' if in_conda else sys.executable} -m segrepro \"$@\"; }}}}; "
)


def start_alone():
    """Refuse to start where another run of this scale is at work; called once a run."""
    try:
        hold_run_lock(Path(f".snakemake/segrepro-{CONFIG.scale}.lock"))
    except UserError as error:
        raise WorkflowError(str(error))


def fetched():
    """All files that can be fetched (archives, weights, an edge detector), by file name."""
    archives = [
        getattr(CONFIG.archives, name) for name in type(CONFIG.archives).model_fields
    ]
    detectors = [getattr(entry, "model", None) for entry in CONFIG.proposals.values()]
    return {
        entry.file: entry
        for entry in [*archives, *CONFIG.weights.values(), *detectors]
        if entry is not None
    }


def download(entry):
    """Where an archive or a weights file is once it is verified."""
    return f"{DATA}/downloads/{entry.file}"


def generated_source(wildcards):
    """The generated archive (and its checksum list) that a fetch at sample scale takes, as rule inputs."""
    entry = fetched()[wildcards.archive]
    local = [
        url.removeprefix("file:")
        for url in entry.urls
        if url.startswith(f"file:{GENERATED}/")
    ]
    return [*local, f"{GENERATED}/SHA256SUMS"] if local else []


def expanded(place):
    """A path or URL of the config with its environment variables filled in."""
    filled = os.path.expandvars(place)
    if unset := re.search(r"\$\{?(\w+)", filled):
        raise WorkflowError(
            f"config: '{place}' needs the environment variable {unset[1]}, which is not set."
        )
    return filled


def fetch_source(entry):
    """The command-line options that say where a file comes from."""
    options = [("--url", expanded(url)) for url in entry.urls]
    if CONFIG.archives_dir:
        options.append(("--local-dir", expanded(CONFIG.archives_dir)))
    return " ".join(f"{option} {shlex.quote(value)}" for option, value in options)


def fetch_expectation(entry):
    """The command-line options that say what a fetched file must be."""
    options = [
        (f"--{kind}", getattr(entry, kind)) for kind in ("md5", "sha256", "bytes")
    ]
    if entry.sha256_list:
        options.append(("--sha256-list", expanded(entry.sha256_list)))
    return " ".join(
        f"{option} {shlex.quote(str(value))}"
        for option, value in options
        if value is not None
    )


# A place that cannot be filled in is said before anything runs.
for entry in fetched().values():
    fetch_source(entry), fetch_expectation(entry)


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
COMBINED = {*FUSED, *STACKED, *REFINED}
WHOLE = [name for name in CONFIG.systems if name not in {*BOX_BY_BOX, *COMBINED}]


wildcard_constraints:
    archive="|".join(sorted(re.escape(file) for file in fetched())),
    dataset="|".join(DATASETS),
    split="|".join([*DATASETS, *SUBSETS]),
    model="[a-z0-9_]+",
    system="[a-z0-9_]+",
    finder=one_of(CONFIG.proposals),


def answer_space_of(split):
    """The name of the label space that a split's pictures are answered in."""
    return DATASETS[CONFIG.dataset_of(split)].answer_space


def dataset_folders(wildcards):
    """The converted folders that a dataset is listed from."""
    return [f"{DATA}/{FOLDERS[key].path}" for key in DATASETS[wildcards.dataset].needs]


def dataset_checks(dataset):
    """What the config says that a dataset must be; nothing in particular where it is silent."""
    return CONFIG.datasets.get(dataset, DatasetChecks())


def check_options(dataset):
    """The command-line options of a dataset's label checks."""
    checks, bounds = dataset_checks(dataset), CONFIG.label_checks
    options = [f"--label-space {DATASETS[dataset].label_space or 'none'}"]
    if checks.pictures is not None:
        options.append(f"--pictures {checks.pictures}")
    if checks.ids_sha256 is not None:
        options.append(f"--ids-sha256 {checks.ids_sha256}")
    if checks.disjoint_from:
        options.append(
            "--disjoint-from "
            + " ".join(f"{DATA}/manifests/{o}.csv" for o in checks.disjoint_from)
        )
    if checks.absent_classes:
        options.append(f"--absent-class {shlex.join(checks.absent_classes)}")
    if checks.min_classes is not None:
        options.append(f"--min-classes {checks.min_classes}")
    if DATASETS[dataset].has_masks:
        options.append(f"--min-void-share {checks.min_void_share}")
        options += [
            f"--{name.replace('_', '-')} {value}"
            for name, value in bounds.model_dump().items()
        ]
    return " ".join(options)


def manifest_options(wildcards):
    """The command-line options that name the folders (and lists) of a dataset."""
    options = [
        f"{FOLDERS[key].option} {DATA}/{FOLDERS[key].path}"
        for key in DATASETS[wildcards.dataset].needs
    ]
    if wildcards.dataset == "seg11valid" and CONFIG.voc2011_val:
        options.append(f"--voc2011-val {shlex.quote(CONFIG.voc2011_val)}")
    return " ".join(options)


def available(dataset):
    """Whether the config has the archives that a dataset needs (VOC test is optional)."""
    return (
        CONFIG.archives.voc2012_test is not None
        or "voc2012_test" not in DATASETS[dataset].needs
    )


def label_checks():
    """Label checks, and histograms where there are labels, of every dataset that the config lists."""
    names = [name for name in CONFIG.datasets if available(name)]
    return expand(f"{RESULTS}/checks/{{name}}.json", name=names) + expand(
        f"{RESULTS}/figures/labels/{{name}}.png",
        name=[n for n in names if DATASETS[n].has_masks],
    )


def audited_manifests():
    """The lists of pictures that the systems' ancestors have seen, and those that the systems are scored on."""
    nodes = {node for name in LINEAGE.systems for node in LINEAGE.ancestors(name)}
    seen = {pictures.manifest for node in nodes for pictures in LINEAGE.seen(node)}
    return sorted(seen | set(LINEAGE.splits.values()))


def fold_reports():
    """The reports of stackers that were fitted by folds of what they are scored on."""
    systems = LINEAGE.systems.values()
    return [file for system in systems for file in system.fold_reports.values()]


def compared_manifests(coco):
    """Manifests of the COCO datasets, or of the others, that models train on or systems are scored on."""
    used = {model.dataset for model in CONFIG.models.values()} | set(LINEAGE.splits)
    return [
        f"{DATA}/manifests/{name}.csv"
        for name in sorted(used)
        if any("coco" in key for key in DATASETS[name].needs) == coco
    ]


# Ids tell VOC's and SBD's pictures apart, but not COCO's from theirs: those are compared by sight.
COMPARED = bool(compared_manifests(coco=True) and compared_manifests(coco=False))


def crf_figures():
    """Before and after, of every CRF and split."""
    return [
        f"{RESULTS}/figures/crf/{name}/{split}.png"
        for name in REFINED
        for split in CONFIG.systems[name].splits
    ]


def submissions():
    """Archives for VOC's server; none where VOC's test pictures are left out."""
    systems = CONFIG.submission.systems if available("voc_test") else []
    return expand(f"{RESULTS}/submission/{{system}}/results.tar.gz", system=systems)


def comparison_figures(splits):
    """What the figures compare systems by: trimap curves and object sizes, and each one's confusion matrix."""
    return expand(
        f"{RESULTS}/figures/{{figure}}/{{split}}.png",
        figure=["trimap", "object_sizes"],
        split=splits,
    ) + [
        f"{RESULTS}/figures/confusion/{system}/{split}.png"
        for split in splits
        for system in shown(split, CONFIG.figures.compared)
    ]


# The tables that compare systems, each as CSV, Markdown and LaTeX, and what the report calls them.
COMPARISONS = {
    "miou": "mIoU",
    "per_class_iou": "IoU per class",
    "report2": "report 2: reported and measured",
    "voc2012_test": "VOC 2012 test",
    "crf": "CRF: before and after",
    "ablation": "ablations",
    "paired": "paired differences",
}


def tables():
    return [
        *expand(
            f"{RESULTS}/tables/{{table}}.{{form}}",
            table=COMPARISONS,
            form=["csv", "md", "tex"],
        ),
        *expand(
            f"{RESULTS}/tables/{{table}}.csv",
            table=["boundary", "leakage", "provenance"]
            + ["near_duplicates"] * COMPARED,
        ),
        *expand(
            f"{RESULTS}/tables/examples/{{model}}.csv",
            model=[*ON_OBJECTS, *ON_PROPOSALS],
        ),
        *(
            f"{RESULTS}/tables/proposals/{finder}_{split}.csv"
            for finder, split in proposals_used()
        ),
        *expand(f"{RESULTS}/tables/crf_search/{{system}}.csv", system=TUNED),
    ]


def figures():
    splits = sorted(
        {split for system in CONFIG.systems.values() for split in system.splits}
    )
    return [
        *expand(f"{RESULTS}/figures/grid/{{split}}.png", split=splits),
        *(
            f"{RESULTS}/figures/{figure}/{split}.png"
            for figure in ("class_bars", "weak_classes")
            for split in splits
            if in_class_bars(figure, split)
        ),
        f"{RESULTS}/figures/training.png",
        *[f"{RESULTS}/figures/near_duplicates.png"] * COMPARED,
        *crf_figures(),
        *comparison_figures(splits),
        *expand(
            f"{RESULTS}/figures/examples/{{model}}.png",
            model=[*ON_OBJECTS, *ON_PROPOSALS],
        ),
        *(
            f"{RESULTS}/figures/proposals/{name}.png"
            for name in BOX_BY_BOX
            if CONFIG.systems[name].proposal_wise.proposals
        ),
    ]


def proposals_used():
    """(finder, split) pairs of the proposals that systems predict, sorted."""
    return sorted(
        {
            (CONFIG.systems[name].proposal_wise.proposals, split)
            for name in BOX_BY_BOX
            for split in CONFIG.systems[name].splits
            if CONFIG.systems[name].proposal_wise.proposals
        }
    )


def training_set(wildcards):
    """The manifest that a model trains on: its dataset's, or one of its own (repeated classes, boxes)."""
    model = CONFIG.models[wildcards.model]
    if model.repeat or model.examples:
        return f"{RESULTS}/models/{wildcards.model}/training_set.csv"
    return f"{DATA}/manifests/{model.dataset}.csv"


def as_options(section, leave_out=()):
    """The command-line options that say what a section of the config sets otherwise than by default."""
    options = []
    for key, value in section.model_dump(exclude_defaults=True).items():
        if key in leave_out:
            continue
        name = key.replace("_", "-")
        if value is False:
            options.append(f"--no-{name}")
        else:
            values = (
                [] if value is True else value if isinstance(value, list) else [value]
            )
            options += [f"--{name}", *map(str, values)]
    return " ".join(options)


def prediction_options(wildcards):
    """The options of a system's test-time augmentation; none for a plain prediction."""
    return as_options(CONFIG.systems[wildcards.system].prediction)


def crf_options(name):
    """The options of a CRF that its score store depends on, besides what a search finds."""
    crf = CONFIG.systems[name].crf
    searched = ["preset", *PARAMETERS] if crf.search else []
    return as_options(crf, leave_out=["members", "search", *searched])


def search_options(wildcards):
    """The options of a search: how, where it starts from, and which values it tries."""
    crf = CONFIG.systems[wildcards.system].crf
    seed = f"--seed {CONFIG.seed}" if crf.search.method == "random" else ""
    start = as_options(
        crf, leave_out=["members", "drop_below", "storage_stride", "search"]
    )
    return f"{start} {as_options(crf.search, leave_out=['tune_on'])} {seed}"


def detector_file(wildcards):
    """The edge detector's file, as a rule input; none for finders without one."""
    detector = getattr(CONFIG.proposals[wildcards.finder], "model", None)
    return download(detector) if detector else []


def finder_options(wildcards, input):
    """The options of a way to find proposals."""
    finder = CONFIG.proposals[wildcards.finder]
    options = (
        f"--method {finder.method} {as_options(finder, leave_out=['method', 'model'])}"
    )
    if finder.method == "edge_boxes":
        options += f" --model {input.detector}" if finder.model else " --edges sobel"
    return options


def proposals_of(section):
    """The proposals that a part of the config names, of a split, as a rule input; none for whole pictures."""
    return lambda w: (
        f"{DATA}/proposals/{section(w).proposals}/{CONFIG.dataset_of(w.split)}.h5"
        if section(w).proposals
        else []
    )


def fitted_on(wildcards):
    """What a stacker is fitted on, as inputs; nothing where that is what it is scored on."""
    dataset = CONFIG.systems[wildcards.system].stacking.fit_on
    if dataset is None:
        return {}
    members = CONFIG.systems[wildcards.system].members
    return {
        "fit_members": [
            f"{RESULTS}/scores/{member}/{dataset}.h5" for member in members
        ],
        "fit_manifest": f"{DATA}/manifests/{dataset}.csv",
        "fit_checks": f"{RESULTS}/checks/{dataset}.json",
    }


def initial_weights(wildcards):
    """The file that a model starts from, as a rule input; none where it starts from scratch."""
    init = CONFIG.models[wildcards.model].init
    if init is None:
        return []
    if init.model is not None:
        return f"{RESULTS}/models/{init.model}/model.keras"
    return download(CONFIG.weights[init.weights])


def shown(split, section=CONFIG.figures.grid):
    """The systems of a split that a figure shows: those that its section of the config names, or all."""
    systems = [name for name, _ in scored(split)]
    chosen = [name for name in section.systems if name in systems]
    return chosen or systems


def in_class_bars(figure, split):
    """The systems of a split that a figure of class bars shows; none where there is nothing to compare."""
    systems = [name for name, _ in scored(split)]
    if figure == "class_bars":
        return [name for name in CONFIG.figures.class_bars.systems if name in systems]
    weak = CONFIG.figures.weak_classes
    if weak is None or weak.baseline not in systems:
        return []
    others = [name for name in weak.systems if name in systems]
    return [weak.baseline, *others] if others else []


def scored(split=None):
    """(system, split) pairs of the tables, in the config's order."""
    return [
        (name, s)
        for name, system in CONFIG.systems.items()
        for s in system.splits
        if split in (None, s)
    ]
