"""Systems: what their score stores are made of, and by which options."""

from typing import Any

from segrepro.config.crf import PARAMETERS
from segrepro.graph import SYSTEM
from segrepro.options import as_options
from segrepro.plan.experiment import Plan


def model_file(plan: Plan, system: str, file: str = "model.keras") -> str:
    """Return a file of the model that a system predicts by."""
    return plan.model(plan.config.systems[system].model, file)


def members(plan: Plan, system: str, split: str) -> list[str]:
    """Return the score stores that a system is made of."""
    return [plan.scores(member, split) for member in plan.config.systems[system].members]


def answer_space(plan: Plan, split: str) -> str:
    """Return the name of the label space that a split's pictures are answered in."""
    return plan.dataset_of(split).answer_space


def prediction_minutes(plan: Plan, system: str) -> int:
    """Return the minutes that a prediction asks a cluster for: boxes are many passes per picture."""
    return 480 if system in plan.box_by_box else 240


def prediction_options(plan: Plan, system: str) -> str:
    """Return the options of a system's prediction, of whole pictures or box by box, but for the file of proposals."""
    entry = plan.config.systems[system]
    boxes = entry.proposal_wise
    if not boxes:
        return as_options(entry.prediction)
    return ("" if boxes.proposals else "--whole ") + as_options(boxes, leave_out=["proposals"])


def proposals_of(plan: Plan, system: str, split: str) -> str | list[Any]:
    """Return the object proposals that a system predicts by, of a split, as a rule input; none for whole pictures."""
    section = plan.config.systems[system].proposal_wise
    return plan.proposals(section.proposals, plan.config.dataset_of(split)) if section and section.proposals else []


def fusion_options(plan: Plan, system: str) -> str:
    """Return the options of a fusion."""
    return as_options(plan.config.systems[system].fusion, leave_out=["members", "ties_from"])


def ranking_metrics(plan: Plan, system: str) -> list[str]:
    """Return the metrics that rank a vote's members, as rule inputs; nothing where none are asked for."""
    fusion = plan.config.systems[system].fusion
    return [plan.metrics(member, fusion.ties_from) for member in (fusion.members if fusion.ties_from else [])]


def stacking_options(plan: Plan, system: str) -> str:
    """Return the options of a stacker."""
    stacking = plan.config.systems[system].stacking
    options = as_options(stacking, leave_out=["members", "fit_on", "fit_pictures"])
    if held := plan.config.systems[system].held:
        stores = " ".join(members(plan, system, held.split))
        options = f"--fit-manifest {plan.manifest(held.split)} --fit-members {stores} {options}"
    return options


def fitted_on(plan: Plan, system: str) -> list[str]:
    """Return what a stacker is fitted on, as rule inputs; nothing where that is what it is scored on."""
    held = plan.config.systems[system].held
    return [*members(plan, system, held.split), plan.manifest(held.split)] if held else []


def fitted_checks(plan: Plan, system: str) -> list[str]:
    """Return the label checks of what a stacker is fitted on; none where that is what it is scored on."""
    held = plan.config.systems[system].held
    return [plan.passed(held.dataset)] if held else []


def crf_options(plan: Plan, system: str) -> str:
    """Return the options of a CRF that its score store depends on, besides what a search finds."""
    crf = plan.config.systems[system].crf
    searched = ["preset", *PARAMETERS] if crf.search else []
    return as_options(crf, leave_out=["members", "search", *searched])


def found_parameters(plan: Plan, system: str) -> str | list[Any]:
    """Return the parameters that a search has found, as a rule input; none for a CRF of fixed ones."""
    return f"{plan.results}/crf_search/{system}.json" if system in plan.tuned else []


def search_options(plan: Plan, system: str) -> str:
    """Return the options of a search: how, where it starts from, and which values it tries."""
    crf = plan.config.systems[system].crf
    seed = f"--seed {plan.config.seed}" if crf.search.method == "random" else ""
    start = as_options(crf, leave_out=["members", "storage_stride", "store", "search"])
    return f"{start} {as_options(crf.search, leave_out=['tune_on'])} {seed}"


def kept_apart(plan: Plan, name: str) -> list[str]:
    """Return the manifests that a tuned or fitted system must share no picture with: what it is scored on.

    A stacker also predicts what a system above it is tuned or fitted on.
    """
    system = plan.config.systems[name]
    above = [
        plan.config.systems[other].held.dataset
        for other in plan.holding
        if system.stacking and other != name and (SYSTEM, name) in plan.graph.ancestors(other)
    ]
    return [plan.manifest(dataset) for dataset in dict.fromkeys([*system.splits, *above])]


def apart_checks(plan: Plan, system: str, split: str) -> list[str]:
    """Return the checks that a prediction waits for: of the systems that are tuned or fitted on its pictures."""
    return [
        f"{plan.results}/checks/apart/{name}.json"
        for name in plan.holding
        if plan.config.systems[name].held.split == split and (SYSTEM, system) in plan.graph.ancestors(name)
    ]
