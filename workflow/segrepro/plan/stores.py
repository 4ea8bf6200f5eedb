"""Which score stores a run makes, in how many jobs each, and which jobs it times."""

from pathlib import Path

from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.errors import UserError
from segrepro.graph import walk
from segrepro.plan.datasets import available, checks_of
from segrepro.plan.experiment import Plan, one_of

Store = tuple[str, str]  # a system and a split


def shards_record(plan: Plan, system: str, split: str) -> str:
    """Return the file that says how many shards a store was made in; none for one that was made at once."""
    return f"{plan.results}/shards/{system}/{split}.count"


def shared(plan: Plan) -> list[str]:
    """Return the systems whose stores may be made in shards."""
    return [*plan.predicted, *plan.refined]


def shard_count(plan: Plan, system: str, split: str) -> int:
    """Return how many jobs make a score store: as many as made it before by its record, or as the config says."""
    record, store = Path(shards_record(plan, system, split)), plan.scores(system, split)
    if record.exists():
        count = record.read_text(encoding="utf-8").strip()
        if not count.isdecimal() or int(count) < 1:
            raise UserError(
                f"{record}: '{count}' is no number of shards; delete this file and the score store {store}."
            )
        return int(count)
    return 1 if Path(store).exists() else plan.shards


def _known_stores(plan: Plan) -> list[Store]:
    """Return the stores that are there, or were once made in shards."""
    files = [*Path(plan.results, "scores").glob("*/*.h5"), *Path(plan.results, "shards").glob("*/*.count")]
    return sorted({(file.parent.name, file.stem) for file in files})


def gathered(plan: Plan) -> str:
    """Return the constraint on the system of a store (by what follows in its path): one that is made in shards."""
    counts = {pair: shard_count(plan, *pair) for pair in _known_stores(plan)}
    systems = one_of(shared(plan))
    if plan.shards > 1:
        at_once = ["/".join(pair) for pair, count in counts.items() if count == 1]
        return rf"(?!(?:{one_of(at_once)})\.h5$)(?:{systems})"
    in_shards = ["/".join(pair) for pair, count in counts.items() if count > 1]
    return rf"(?=(?:{one_of(in_shards)})\.h5$)(?:{systems})"


def parts_of(plan: Plan, system: str, split: str) -> list[str]:
    """Return the shards of a score store."""
    count = shard_count(plan, system, split)
    return [f"{plan.results}/shards/{system}/{split}/{number}-of-{count}.h5" for number in range(1, count + 1)]


def shard_option(item: str | None) -> str:
    """Return the option of a job that does one shard (``2-of-8``); none for a job that does all."""
    return f"--shard {item.replace('-of-', '/')}" if item else ""


def order_option(plan: Plan, system: str) -> str:
    """Return the option of the order in which a prediction of whole pictures stores them; all others go by id."""
    return "--by-size" if system in plan.predicted and system not in plan.box_by_box else ""


def stores_made(plan: Plan) -> list[Store]:
    """Return all score stores that a run makes: what is scored or sent to VOC's server, and what that is made of."""

    def made_of(store: Store) -> list[Store]:
        system, split = plan.config.systems[store[0]], store[1]
        splits = [split, *([system.held.split] if system.held else [])]
        return [(member, each) for member in system.members for each in splits]

    sent = [(system, "voc_test") for system in plan.config.submission.systems if available(plan, "voc_test")]
    return list(walk([*plan.scored(), *sent], made_of))


def _store_jobs(plan: Plan, system: str, split: str) -> str:
    """Return the job that makes a score store, or a pattern for its shards."""
    kinds = {"fuse": plan.fused, "stack": plan.stacked, "crf": plan.refined}
    rule = next((rule for rule, names in kinds.items() if system in names), "predict")
    count = shard_count(plan, system, split) if system in shared(plan) else 1
    return f"{rule}/{system}/{split}" + (f"/*-of-{count}" if count > 1 else "")


def proposals_made(plan: Plan) -> list[tuple[str, str]]:
    """Return (proposals, dataset) pairs that systems predict by and models train on."""
    config = plan.config
    of_systems = {
        (config.systems[system].proposal_wise.proposals, config.dataset_of(split))
        for system, split in stores_made(plan)
        if system in plan.box_by_box and config.systems[system].proposal_wise.proposals
    }
    models = (model for model in config.models.values() if getattr(model.examples, "proposals", None))
    return sorted(of_systems | {(model.examples.proposals, model.dataset) for model in models})


def _datasets_made(plan: Plan) -> list[str]:
    """Return the datasets that are checked, and those that they are compared with."""
    predicted = {plan.config.dataset_of(split) for _, split in stores_made(plan)}
    trained_on = {plan.config.models[name].dataset for name in plan.trained}
    return sorted(predicted | trained_on | set(plan.config.listed))


def _folders_made(plan: Plan) -> list[str]:
    """Return the converted folders of these datasets."""
    names = _datasets_made(plan)
    others = {other for name in names for other in checks_of(plan, name).disjoint_from if available(plan, other)}
    return sorted({FOLDERS[key].path for name in {*names, *others} for key in DATASETS[name].needs})


def timed_jobs(plan: Plan) -> list[str]:
    """Return the jobs whose time and memory the page shows, as their files are called below benchmarks/, without .tsv.

    Files of other jobs stay there when a config changes, and are not shown. Shards are one pattern each: a command line
    must not grow with their number.
    """
    splits = dict.fromkeys(split for _, split in plan.scored())
    return [
        *["sample"] * plan.sample,
        *(f"convert/{folder}" for folder in _folders_made(plan)),
        *(f"checks/{name}" for name in _datasets_made(plan)),
        *["near_duplicates"] * plan.is_compared,
        *(f"proposals/{name}_{dataset}" for name, dataset in proposals_made(plan)),
        *(f"train/{model}" for model in plan.trained),
        *(_store_jobs(plan, *pair) for pair in stores_made(plan)),
        *(f"crf_search/{system}" for system in plan.tuned),
        *(f"evaluate/{system}/{split}" for system, split in plan.scored()),
        "statistics",
        *(f"page_pictures/{split}" for split in splits),
    ]
