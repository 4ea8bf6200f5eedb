"""What the config's parts say of each other: names that must exist, combinations that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segrepro.config.combinations import combination_problems, submission_problems
from segrepro.config.sentences import unknown, without_masks
from segrepro.data.datasets import DATASETS
from segrepro.geometry import is_crop_allowed
from segrepro.graph import SYSTEM, graph_of
from segrepro.labels import LABEL_SPACES, VOC21

if TYPE_CHECKING:
    from segrepro.config import Config, Model, System
    from segrepro.config.data import DatasetChecks
    from segrepro.config.tables import Ablation


def reference_problems(config: Config) -> Iterator[str]:
    """Yield one sentence for each reference that leads nowhere, starting with the key's path."""
    yield from _file_problems(config)
    for name, weights in config.weights.items():
        yield from without_masks(f"weights.{name}.trained_on", weights.trained_on)
    for name, checks in config.datasets.items():
        yield from _dataset_problems(name, checks)
    for name, model in config.models.items():
        yield from _model_problems(config, f"models.{name}", model)
    for name, system in config.systems.items():
        yield from _system_problems(config, f"systems.{name}", system)
    yield from combination_problems(config)
    yield from _circles(config)
    for name, ablation in config.ablations.items():
        yield from _ablation_problems(config, f"ablations.{name}", ablation)
    yield from _figure_problems(config)
    yield from submission_problems(config)


def _file_problems(config: Config) -> Iterator[str]:
    """A file is fetched once, by its name: two entries of one name must mean the same file."""
    entries = {f"archives.{key}": getattr(config.archives, key) for key in type(config.archives).model_fields}
    entries |= {f"weights.{key}": weights for key, weights in config.weights.items()}
    entries |= {f"proposals.{key}.model": getattr(entry, "model", None) for key, entry in config.proposals.items()}
    first: dict[str, tuple[str, Any]] = {}
    for path, entry in entries.items():
        if entry is not None:
            source = entry.model_dump(include={"urls", "md5", "sha256", "bytes", "sha256_list"})
            other, known = first.setdefault(entry.file, (path, source))
            if known != source:
                yield f"{path}.file: '{entry.file}' is {other}'s too, with other urls or checksums; rename one"


def _left_out(config: Config, path: str, datasets: list[str]) -> Iterator[str]:
    """A dataset that is trained or scored on needs its archives, some of which may be null."""
    for name in datasets:
        for archive in config.missing_archives(name):
            yield f"{path}: '{name}' is made of archives.{archive}, which is null; give that archive or another dataset"


def _classes(dataset: str) -> list[str]:
    space = LABEL_SPACES[DATASETS[dataset].label_space or VOC21.name]
    return [name for name in space.classes if name]


def _dataset_problems(name: str, checks: DatasetChecks) -> Iterator[str]:
    if name not in DATASETS:
        yield from unknown("datasets", [name], DATASETS, "dataset")
        return
    path = f"datasets.{name}"
    yield from unknown(f"{path}.disjoint_from", checks.disjoint_from, DATASETS, "dataset")
    if name in checks.disjoint_from:
        yield f"{path}.disjoint_from: '{name}' cannot be disjoint from itself; remove it"
    yield from unknown(f"{path}.absent_classes", checks.absent_classes, _classes(name), "class")


def _model_problems(config: Config, path: str, model: Model) -> Iterator[str]:
    yield from without_masks(f"{path}.dataset", [model.dataset])
    yield from _left_out(config, f"{path}.dataset", [model.dataset] if model.train else [])
    yield from unknown(f"{path}.network", [model.network], config.networks, "network")
    yield from unknown(f"{path}.protocol", [model.protocol], config.protocols, "protocol")
    yield from unknown(f"{path}.weights", [model.weights], config.weights, "weights")
    if model.init:
        yield from unknown(f"{path}.init.model", [model.init.model], config.models, "model")
        yield from unknown(f"{path}.init.weights", [model.init.weights], config.weights, "weights")
    if model.network in config.networks and model.protocol in config.protocols:
        yield from _crop_problems(config, path, model)
    yield from _example_problems(config, path, model)
    if model.repeat and model.dataset in DATASETS:
        yield from unknown(f"{path}.repeat.classes", model.repeat.classes, _classes(model.dataset), "class")


def _crop_problems(config: Config, path: str, model: Model) -> Iterator[str]:
    network, protocol = config.networks[model.network], config.protocols[model.protocol]
    crop, key = protocol.crop, f"protocols.{model.protocol}.crop"
    if network.architecture == "deconvnet":
        side = network.input_size
        if crop != side:
            yield f"{key}: is {crop}, but networks.{model.network}.input_size is {side}: take it"
        if protocol.micro_batch < 2:  # fc6 is 1 x 1: batch norm has nothing to compare
            yield f"protocols.{model.protocol}.micro_batch: must be 2 or more for a DeconvNet"
    elif network.architecture != "fcn":
        stride = network.output_stride
        if crop is None:
            yield f"{key}: is required for networks.{model.network} (used by {path}) and missing"
        elif not is_crop_allowed(crop, stride):
            below = max((crop - 1) // stride, 1) * stride + 1
            yield (
                f"{key}: {crop} does not fit output stride {stride} of networks.{model.network} (used by {path}): "
                f"take a multiple of {stride} plus 1, e.g. {below} or {below + stride}"
            )


def _example_problems(config: Config, path: str, model: Model) -> Iterator[str]:
    """Boxes come from the model's `examples` and are resized by its protocol's `box_size`: both or neither."""
    examples, protocol = model.examples, config.protocols.get(model.protocol)
    if protocol and (protocol.box_size is not None) != (examples is not None):
        remedy = "give it 'examples'" if examples is None else f"set protocols.{model.protocol}.box_size"
        yield f"{path}.examples: box_size of the protocol and 'examples' come together; {remedy}"
    if examples is None:
        return
    if model.dataset in DATASETS and not set(DATASETS[model.dataset].needs) <= {"voc2012", "sbd"}:
        yield f"{path}.examples: '{model.dataset}' has no instances; take a dataset of VOC or SBD"
    if examples.kind == "proposals":
        yield from unknown(f"{path}.examples.proposals", [examples.proposals], config.proposals, "proposals")


def _system_problems(config: Config, path: str, system: System) -> Iterator[str]:
    yield from unknown(f"{path}.model", [system.model], config.models, "model")
    if system.model in config.models:
        yield from _prediction_problems(config, f"{path}.proposal_wise", system)
    yield from without_masks(f"{path}.splits", system.splits)
    yield from _left_out(config, f"{path}.splits", system.splits)
    if system.held:
        yield from _left_out(config, f"{path}.{system.combination}.{system.held_key}", [system.held.dataset])
    yield from unknown(f"{path}.published", system.published, system.splits, "split of this system")


def _prediction_problems(config: Config, path: str, system: System) -> Iterator[str]:
    network = config.networks.get(config.models[system.model].network)
    by_boxes = network is not None and network.architecture == "deconvnet"
    if by_boxes and not system.proposal_wise:
        yield f"{path}: is required for a DeconvNet, which predicts boxes, and missing"
    elif network is not None and system.proposal_wise and not by_boxes:
        yield f"{path}: is for DeconvNet only; remove it"
    elif system.proposal_wise:
        yield from unknown(f"{path}.proposals", [system.proposal_wise.proposals], config.proposals, "proposals")


def _ablation_problems(config: Config, path: str, ablation: Ablation) -> Iterator[str]:
    yield from unknown(f"{path}.baseline", [ablation.baseline], config.systems, "system")
    if ablation.baseline not in config.systems:
        return
    splits = config.systems[ablation.baseline].splits
    for system in ablation.systems:
        yield from unknown(f"{path}.systems", [system], config.systems, "system")
        if system in config.systems and not set(splits) & set(config.systems[system].splits):
            remedy = f"add one of {', '.join(splits)} to systems.{system}.splits"
            yield f"{path}.systems: '{system}' shares no split with '{ablation.baseline}'; {remedy}"


def _figure_problems(config: Config) -> Iterator[str]:
    figures, weak = config.figures, config.figures.weak_classes
    shown = {f"{key}.systems": getattr(figures, key).systems for key in ("grid", "compared", "class_bars")}
    if weak:
        shown |= {"weak_classes.baseline": [weak.baseline], "weak_classes.systems": weak.systems}
    for key, names in shown.items():
        yield from unknown(f"figures.{key}", names, config.systems, "system")
    scored = dict.fromkeys(split for system in config.systems.values() for split in system.splits)
    yield from unknown("figures.grid.ids", figures.grid.ids, scored, "scored split")


def _circles(config: Config) -> Iterator[str]:
    if circle := graph_of(config).circle():
        (kind, name), chain = circle[0], " <- ".join(name for _, name in circle)
        if kind == SYSTEM:
            key = f"systems.{name}.{config.systems[name].combination}.members"
            yield f"{key}: the members run in a circle: {chain}"
        else:
            yield f"models.{name}.init.model: the inits run in a circle: {chain}"
