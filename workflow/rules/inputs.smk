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
        "fit_checks": ancient(f"{RESULTS}/checks/{dataset}.passed"),
    }


def initial_weights(wildcards):
    """The file that a model starts from, as a rule input; none where it starts from scratch."""
    init = CONFIG.models[wildcards.model].init
    if init is None:
        return []
    if init.model is not None:
        return f"{RESULTS}/models/{init.model}/model.keras"
    return download(CONFIG.weights[init.weights])
