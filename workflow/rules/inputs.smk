# What jobs take: their inputs by the config, and the options of their verbs.


def answer_space_of(split):
    """The name of the label space that a split's pictures are answered in."""
    return DATASETS[CONFIG.dataset_of(split)].answer_space


def dataset_folders(wildcards):
    """The converted folders that a dataset is listed from."""
    return [f"{DATA}/{FOLDERS[key].path}" for key in DATASETS[wildcards.dataset].needs]


def dataset_checks(dataset):
    """What the config says that a dataset must be; nothing in particular where it is silent."""
    return CONFIG.datasets.get(dataset, DatasetChecks())


def passed_checks(dataset):
    """That a dataset (a function of the wildcards gives its name) has passed its label checks, as a rule input.

    Data that fail stop the run before the job. Ancient, and not what check_labels writes: Snakemake deletes that
    before other bounds are checked, and an ancient input that is missing triggers. So these make anew the checks
    alone, also after some have failed, and nothing that was made of data that had passed.
    """
    return ancient(lambda w: f"{RESULTS}/checks/{dataset(w)}.passed")


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
    if checks.max_empty_share is not None:
        options.append(f"--max-empty-share {checks.max_empty_share}")
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
        options.append(f"--voc2011-val {shlex.quote(expanded(CONFIG.voc2011_val))}")
    return " ".join(options)


def available(dataset):
    """Whether the config has the archives that a dataset needs (VOC test is optional)."""
    return (
        CONFIG.archives.voc2012_test is not None
        or "voc2012_test" not in DATASETS[dataset].needs
    )


def audited_manifests():
    """The lists of pictures that the systems' ancestors have seen, and those that the systems are scored on."""
    nodes = {node for name in GRAPH.systems for node in GRAPH.ancestors(name)}
    seen = {pictures.manifest for node in nodes for pictures in GRAPH.seen(node)}
    return sorted((seen | set(GRAPH.splits.values())) - {None})


def seen_by(system):
    """The lists of pictures that a system and its ancestors were trained, fitted or tuned on."""
    nodes = GRAPH.ancestors(system)
    return sorted(
        {seen.manifest for node in nodes for seen in GRAPH.seen(node)} - {None}
    )


# A picture of the grid that its split lacks is said before anything runs, where the split has been listed already.
for split, ids in CONFIG.figures.grid.ids.items():
    manifest = Path(f"{DATA}/manifests/{split}.csv")
    if manifest.is_file():
        try:
            check_listed(ids, manifest, key=f"config: figures.grid.ids.{split}")
        except UserError as error:
            raise WorkflowError(str(error))


def fold_reports():
    """The reports of stackers that were fitted by folds of what they are scored on."""
    systems = GRAPH.systems.values()
    return [file for system in systems for file in system.fold_reports.values()]


def compared_manifests(coco):
    """Manifests of the COCO datasets, or of the others, that models train on or systems are scored on.

    Also of those that pretrained weights have seen, where the audit reads them.
    """
    used = {model.dataset for model in CONFIG.models.values()} | set(GRAPH.splits)
    weights = GRAPH.of_kind(WEIGHTS, *GRAPH.systems)
    used |= {
        pictures.name
        for name in weights
        for pictures in GRAPH.weights[name].trained_on
        if pictures.manifest
    }
    return [
        f"{DATA}/manifests/{name}.csv"
        for name in sorted(used)
        if DATASETS[name].of_coco == coco
    ]


def training_set(wildcards):
    """The manifest that a model trains on: its dataset's, or one of its own (repeated classes, boxes)."""
    model = CONFIG.models[wildcards.model]
    if model.repeat or model.examples:
        return f"{RESULTS}/models/{wildcards.model}/training_set.csv"
    return f"{DATA}/manifests/{model.dataset}.csv"


def training_gpus(wildcards):
    """How many GPUs a training asks for: of those that the config allows, as many as can share its micro-batches."""
    protocol = CONFIG.protocols[CONFIG.models[wildcards.model].protocol]
    return gpus_that_share(
        protocol.micro_batch, CONFIG.runtime.gpus if NETWORK_GPUS else 0
    )


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


# How bootstrap intervals are made, in tables and figures alike.
BOOTSTRAP = f"{as_options(CONFIG.statistics, leave_out=['seed_deviation'])} --seed {CONFIG.seed}"


def growing_counts(wildcards):
    """How many boxes the panels of a growing map have: as many as the system predicts by, and fewer."""
    count = CONFIG.systems[wildcards.system].proposal_wise.count
    return " ".join(map(str, [*(n for n in (1, 5, 10) if n < count), count]))


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
    start = as_options(crf, leave_out=["members", "storage_stride", "search"])
    return f"{start} {as_options(crf.search, leave_out=['tune_on'])} {seed}"


def detector_file(wildcards):
    """The edge detector's file, as a rule input; none for finders without one."""
    detector = getattr(CONFIG.proposals[wildcards.finder], "model", None)
    return download(detector) if detector else []


def edge_maps(wildcards):
    """The folder of a finder's edge maps, as a rule input; none for finders that take none."""
    folder = getattr(CONFIG.proposals[wildcards.finder], "edges", None)
    return expanded(folder) if folder else []


def finder_options(wildcards, input):
    """The options of a way to find proposals."""
    finder = CONFIG.proposals[wildcards.finder]
    settings = as_options(finder, leave_out=["method", "model", "edges"])
    options = f"--method {finder.method} {settings}"
    if finder.method == "edge_boxes" and finder.model:
        options += f" --model {input.detector}"
    elif finder.method == "edge_boxes":
        options += f" --edges {shlex.quote(str(input.edges or 'sobel'))}"
    return options


def proposals_of(section):
    """The proposals that a part of the config names, of a split, as a rule input; none for whole pictures."""
    return lambda w: (
        f"{DATA}/proposals/{section(w).proposals}/{CONFIG.dataset_of(w.split)}.h5"
        if section(w).proposals
        else []
    )


def members_metrics(wildcards):
    """The metrics that rank a vote's members, as inputs; nothing where none are asked for."""
    fusion = CONFIG.systems[wildcards.system].fusion
    return [
        f"{RESULTS}/metrics/{member}/{fusion.ties_from}.json"
        for member in (fusion.members if fusion.ties_from else [])
    ]


def fitted_on(wildcards):
    """What a stacker is fitted on, as inputs; nothing where that is what it is scored on."""
    held = CONFIG.systems[wildcards.system].held
    if held is None:
        return {}
    members = CONFIG.systems[wildcards.system].members
    return {
        "fit_members": [
            f"{RESULTS}/scores/{member}/{held.split}.h5" for member in members
        ],
        "fit_manifest": f"{DATA}/manifests/{held.split}.csv",
        "fit_checks": ancient(f"{RESULTS}/checks/{held.dataset}.passed"),
    }


def kept_apart(name):
    """The datasets that a tuned or fitted system must share no picture with: what it is scored on.

    A stacker also predicts what a system above it is tuned or fitted on.
    """
    system = CONFIG.systems[name]
    above = [
        other.held.dataset
        for other_name, other in CONFIG.systems.items()
        if system.stacking
        and other.held
        and other_name != name
        and (SYSTEM, name) in GRAPH.ancestors(other_name)
    ]
    return list(dict.fromkeys([*system.splits, *above]))


def apart_checks(wildcards):
    """The checks that a prediction waits for: of the systems that are tuned or fitted on its pictures."""
    return [
        f"{RESULTS}/checks/apart/{name}.json"
        for name in HOLDING
        if CONFIG.systems[name].held.split == wildcards.split
        and (SYSTEM, wildcards.system) in GRAPH.ancestors(name)
    ]


def initial_weights(wildcards):
    """The file that a model starts from, as a rule input; none where it starts from scratch."""
    init = CONFIG.models[wildcards.model].init
    if init is None:
        return []
    if init.model is not None:
        return f"{RESULTS}/models/{init.model}/model.keras"
    return download(CONFIG.weights[init.weights])
