# Which jobs of the config are timed: files of other jobs stay below benchmarks/ when a config changes, and are not shown.


def makes_scores(system):
    """The benchmarks' folder of the rule that makes a system's score stores."""
    kinds = {"fuse": FUSED, "stack": STACKED, "crf": REFINED}
    return next((rule for rule, names in kinds.items() if system in names), "predict")


def stores_of(system, split):
    """(system, split) pairs of the score stores that one is made of, itself first."""
    yield system, split
    entry = CONFIG.systems[system]
    splits = [split, *([entry.held.split] if entry.held else [])]
    for member in entry.members:
        for each in splits:
            yield from stores_of(member, each)


def stores_made():
    """(system, split) pairs of all score stores, without repeats."""
    sent = [(system, "voc_test") for system in CONFIG.submission.systems]
    wanted = [*scored(), *(sent if available("voc_test") else [])]
    return list(
        dict.fromkeys(pair for each in wanted for pair in stores_of(*each)),
    )


def store_jobs(system, split):
    """The job that makes a score store, or a pattern for its shards."""
    job = f"{makes_scores(system)}/{system}/{split}"
    count = shard_count(system, split) if system in SHARED else 1
    return f"{job}/*-of-{count}" if count > 1 else job


def proposals_made():
    """(finder, dataset) pairs of the proposals that systems predict and models train on."""
    of_systems = {
        (CONFIG.systems[system].proposal_wise.proposals, CONFIG.dataset_of(split))
        for system, split in stores_made()
        if system in BOX_BY_BOX and CONFIG.systems[system].proposal_wise.proposals
    }
    of_models = {
        (CONFIG.models[name].examples.proposals, CONFIG.models[name].dataset)
        for name in ON_PROPOSALS
    }
    return sorted(of_systems | of_models)


def datasets_made():
    """The datasets that are checked, and those that they are compared with."""
    stores = {CONFIG.dataset_of(split) for _, split in stores_made()}
    trained_on = {CONFIG.models[name].dataset for name in TRAINED}
    listed = {name for name in CONFIG.datasets if available(name)}
    return sorted(stores | trained_on | listed)


def folders_made():
    """The converted folders of these datasets."""
    names = datasets_made()
    listed = {*names}.union(*(dataset_checks(name).disjoint_from for name in names))
    return sorted(
        {FOLDERS[key].path for name in listed for key in DATASETS[name].needs}
    )


def timed_jobs():
    """The jobs whose time and memory the page shows, as their files are called below benchmarks/, without .tsv.

    Shards are one pattern each: a command line must not grow with their number.
    """
    return [
        *["sample"] * (CONFIG.scale == "sample"),
        *(f"convert/{'_'.join(Path(folder).parts)}" for folder in folders_made()),
        *(f"checks/{name}" for name in datasets_made()),
        *["near_duplicates"] * COMPARED,
        *(f"proposals/{finder}_{dataset}" for finder, dataset in proposals_made()),
        *(f"train/{model}" for model in TRAINED),
        *(store_jobs(*pair) for pair in stores_made()),
        *(f"crf_search/{system}" for system in TUNED),
        *(f"evaluate/{system}/{split}" for system, split in scored()),
        "statistics",
        *(
            f"page_pictures/{split}"
            for split in dict.fromkeys(split for _, split in scored())
        ),
    ]
