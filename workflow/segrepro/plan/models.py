"""Models: what they train on, what they start from, and the GPUs that they share."""

from typing import Any

from segrepro.options import as_options
from segrepro.plan.experiment import Plan
from segrepro.plan.fetching import download
from segrepro.training.choices import gpus_that_share


def dataset_manifest(plan: Plan, model: str) -> str:
    """Return the manifest of the dataset that a model trains on."""
    return plan.manifest(plan.config.models[model].dataset)


def training_set(plan: Plan, model: str) -> str:
    """Return the manifest that a model trains on: its dataset's, or one of its own (repeated classes, boxes)."""
    entry = plan.config.models[model]
    own = entry.repeat or entry.examples
    return plan.model(model, "training_set.csv") if own else dataset_manifest(plan, model)


def proposals_of(plan: Plan, model: str) -> str | list[Any]:
    """Return the object proposals that a model trains on, as a rule input; none for one that takes none."""
    name = getattr(plan.config.models[model].examples, "proposals", None)
    return plan.proposals(name, plan.config.models[model].dataset) if name else []


def training_set_options(plan: Plan, model: str) -> str:
    """Return the options of a training set of a model's own: its kind, and the settings of its section."""
    entry = plan.config.models[model]
    if entry.repeat:
        return f"repeat --label-space {plan.dataset_of(entry.dataset).label_space} {as_options(entry.repeat)}"
    if entry.examples.kind == "objects":
        return f"objects {as_options(entry.examples, leave_out=['kind'])}"
    options = as_options(entry.examples, leave_out=["kind", "proposals"])
    return f"proposals --proposals {proposals_of(plan, model)} {options}"


def training_gpus(plan: Plan, model: str) -> int:
    """Return how many GPUs a training asks for: of the config's, as many as can share its micro-batches."""
    protocol = plan.config.protocols[plan.config.models[model].protocol]
    return gpus_that_share(protocol.micro_batch, plan.config.runtime.gpus if plan.network_gpus else 0)


def training_options(plan: Plan) -> str:
    """Return the options of how a training runs, with the wildcard ``model``; none of them changes its result."""
    runtime = plan.config.runtime
    taken = {"checkpoint_minutes", "checkpoint_every", "deterministic"}
    options = as_options(runtime, leave_out=type(runtime).model_fields.keys() - taken)
    if runtime.tensorboard:
        options += f" --tensorboard {plan.model('{wildcards.model}', 'tensorboard')}"
    return options


def initial_weights(plan: Plan, model: str) -> str | list[Any]:
    """Return the file that a model starts from, as a rule input; none where it starts from scratch."""
    init = plan.config.models[model].init
    if init is None:
        return []
    return plan.model(init.model) if init.model is not None else download(plan, plan.config.weights[init.weights])


def published_weights(plan: Plan, model: str) -> str:
    """Return the file of the weights that stand in for a training."""
    return download(plan, plan.config.weights[plan.config.models[model].weights])


def import_options(plan: Plan, model: str) -> str:
    """Return the options that say what published weights are."""
    weights = plan.config.weights[plan.config.models[model].weights]
    return f"--format {weights.format} --averages {weights.averages}"
