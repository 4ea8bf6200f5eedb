"""What the config's parts say of each other: names that must exist, combinations that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segrepro.config.combinations import combination_problems, submission_problems
from segrepro.config.uses import dataset_use, unknown
from segrepro.data.datasets import DATASETS
from segrepro.geometry import is_crop_allowed
from segrepro.graph import SYSTEM, graph_of
from segrepro.labels import LABEL_SPACES, VOC21, VOC_CLASSES

if TYPE_CHECKING:
    from segrepro.config import Config, Model, System
    from segrepro.config.figures import Figures


def reference_problems(config: Config) -> list[str]:
    """Return one sentence for each reference that leads nowhere, starting with the key's path."""
    return [
        *_file_problems(config),
        *_weights_problems(config),
        *_dataset_problems(config),
        *_model_problems(config),
        *_system_problems(config),
        *combination_problems(config),
        *_circles(config),
        *_ablation_problems(config),
        *(
            unknown(path, name, config.systems, "system")
            for path, names in _shown_systems(config.figures).items()
            for name in names
            if name not in config.systems
        ),
        *_grid_problems(config),
        *submission_problems(config),
    ]


def _grid_problems(config: Config) -> list[str]:
    scored = dict.fromkeys(split for system in config.systems.values() for split in system.splits)
    path = "figures.grid.ids"
    return [unknown(path, split, scored, "scored split") for split in config.figures.grid.ids if split not in scored]


def _shown_systems(figures: Figures) -> dict[str, list[str]]:
    """Return the systems that each figure's settings name, by key."""
    weak = figures.weak_classes
    return {
        "figures.grid.systems": figures.grid.systems,
        "figures.compared.systems": figures.compared.systems,
        "figures.class_bars.systems": figures.class_bars.systems,
        "figures.weak_classes.baseline": [weak.baseline] if weak else [],
        "figures.weak_classes.systems": weak.systems if weak else [],
    }


def _file_problems(config: Config) -> list[str]:
    """A file is fetched once, by its name: two entries of one name must mean the same file."""
    entries = {f"archives.{key}": getattr(config.archives, key) for key in type(config.archives).model_fields}
    entries |= {f"weights.{key}": weights for key, weights in config.weights.items()}
    entries |= {f"proposals.{key}.model": getattr(finder, "model", None) for key, finder in config.proposals.items()}
    first: dict[str, tuple[str, Any]] = {}
    problems = []
    for path, entry in entries.items():
        if entry is None:
            continue
        origin = entry.model_dump(include={"urls", "md5", "sha256", "bytes", "sha256_list"})
        other, known = first.setdefault(entry.file, (path, origin))
        if known != origin:
            problems.append(f"{path}.file: '{entry.file}' is {other}'s too, with other urls or checksums; rename one")
    return problems


def _weights_problems(config: Config) -> list[str]:
    return [
        problem
        for name, weights in config.weights.items()
        for dataset in weights.trained_on
        for problem in dataset_use(f"weights.{name}.trained_on", dataset)
    ]


def _dataset_problems(config: Config) -> list[str]:
    problems = []
    for name, checks in config.datasets.items():
        path = f"datasets.{name}"
        if name not in DATASETS:
            problems.append(unknown("datasets", name, DATASETS, "dataset"))
            continue
        problems += [
            unknown(f"{path}.disjoint_from", other, DATASETS, "dataset")
            for other in checks.disjoint_from
            if other not in DATASETS
        ]
        if name in checks.disjoint_from:
            problems.append(f"{path}.disjoint_from: '{name}' cannot be disjoint from itself; remove it")
        space = DATASETS[name].label_space
        classes = [c for c in LABEL_SPACES[space].classes if c] if space else list(VOC_CLASSES)
        problems += [
            unknown(f"{path}.absent_classes", c, classes, "class") for c in checks.absent_classes if c not in classes
        ]
    return problems


def _model_problems(config: Config) -> list[str]:
    problems = []
    for name, model in config.models.items():
        path = f"models.{name}"
        problems += dataset_use(f"{path}.dataset", model.dataset)
        for key, table in (
            ("network", config.networks),
            ("protocol", config.protocols),
            ("weights", config.weights),
        ):
            value = getattr(model, key)
            if value is not None and value not in table:
                problems.append(unknown(f"{path}.{key}", value, table, key))
        if model.init and model.init.model is not None and model.init.model not in config.models:
            problems.append(unknown(f"{path}.init.model", model.init.model, config.models, "model"))
        if model.init and model.init.weights is not None and model.init.weights not in config.weights:
            problems.append(unknown(f"{path}.init.weights", model.init.weights, config.weights, "weights"))
        if model.network in config.networks and model.protocol in config.protocols:
            problems += _crop_problems(config, path, model)
        problems += _example_problems(config, path, model)
        if model.repeat and model.dataset in DATASETS:
            classes = LABEL_SPACES[DATASETS[model.dataset].label_space or VOC21.name].classes
            problems += [
                unknown(f"{path}.repeat.classes", name, [c for c in classes if c], "class")
                for name in model.repeat.classes
                if name not in classes
            ]
    return problems


def _crop_problems(config: Config, path: str, model: Model) -> list[str]:
    crop = config.protocols[model.protocol].crop
    network = config.networks[model.network]
    key = f"protocols.{model.protocol}.crop"
    if network.architecture == "fcn":
        return []
    if network.architecture == "deconvnet":
        problems, side = [], network.input_size
        if crop != side:
            problems.append(f"{key}: is {crop}, but networks.{model.network}.input_size is {side}: take it")
        if config.protocols[model.protocol].micro_batch < 2:  # fc6 is 1 x 1: batch norm has nothing to compare
            problems.append(f"protocols.{model.protocol}.micro_batch: must be 2 or more for a DeconvNet")
        return problems
    stride = network.output_stride
    if crop is None:
        return [f"{key}: is required for networks.{model.network} (used by {path}) and missing"]
    if is_crop_allowed(crop, stride):
        return []
    below = max((crop - 1) // stride, 1) * stride + 1
    above = below + stride
    return [
        f"{key}: {crop} does not fit output stride {stride} of "
        f"networks.{model.network} (used by {path}): take a multiple of {stride} plus 1, e.g. {below} or {above}"
    ]


def _example_problems(config: Config, path: str, model: Model) -> list[str]:
    """Boxes come from the model's `examples` and are resized by its protocol's `box_size`: both or neither."""
    problems = []
    protocol = config.protocols.get(model.protocol)
    if protocol and (protocol.box_size is not None) != (model.examples is not None):
        remedy = "give it 'examples'" if model.examples is None else f"set protocols.{model.protocol}.box_size"
        problems.append(f"{path}.examples: box_size of the protocol and 'examples' come together; {remedy}")
    if model.examples is None:
        return problems
    needs = DATASETS[model.dataset].needs if model.dataset in DATASETS else ()
    if not set(needs) <= {"voc2012", "sbd"}:
        problems.append(f"{path}.examples: '{model.dataset}' has no instances; take a dataset of VOC or SBD")
    if model.examples.kind == "proposals" and model.examples.proposals not in config.proposals:
        key = f"{path}.examples.proposals"
        problems.append(unknown(key, model.examples.proposals, config.proposals, "proposals"))
    return problems


def _system_problems(config: Config) -> list[str]:
    problems = []
    for name, system in config.systems.items():
        path = f"systems.{name}"
        if system.model is not None and system.model not in config.models:
            problems.append(unknown(f"{path}.model", system.model, config.models, "model"))
        elif system.model is not None:
            problems += _prediction_problems(config, path, system)
        for split in system.splits:
            problems += dataset_use(f"{path}.splits", split)
        problems += [
            unknown(f"{path}.reported", split, system.splits, "split of this system")
            for split in system.reported
            if split not in system.splits
        ]
    return problems


def _prediction_problems(config: Config, path: str, system: System) -> list[str]:
    network = config.networks.get(config.models[system.model].network)
    box_by_box = network is not None and network.architecture == "deconvnet"
    if network is not None and box_by_box != (system.proposal_wise is not None):
        if box_by_box:
            return [f"{path}.proposal_wise: is required for a DeconvNet, which predicts boxes, and missing"]
        return [f"{path}.proposal_wise: is for DeconvNet only; remove it"]
    if system.proposal_wise and system.proposal_wise.proposals not in (None, *config.proposals):
        key = f"{path}.proposal_wise.proposals"
        return [unknown(key, system.proposal_wise.proposals, config.proposals, "proposals")]
    return []


def _ablation_problems(config: Config) -> list[str]:
    problems = []
    for name, ablation in config.ablations.items():
        path = f"ablations.{name}"
        if ablation.baseline not in config.systems:
            problems.append(unknown(f"{path}.baseline", ablation.baseline, config.systems, "system"))
            continue
        splits = config.systems[ablation.baseline].splits
        for system in ablation.systems:
            if system not in config.systems:
                problems.append(unknown(f"{path}.systems", system, config.systems, "system"))
            elif not set(splits) & set(config.systems[system].splits):
                remedy = f"add one of {', '.join(splits)} to systems.{system}.splits"
                problems.append(f"{path}.systems: '{system}' shares no split with '{ablation.baseline}'; {remedy}")
    return problems


def _circles(config: Config) -> list[str]:
    circle = graph_of(config).circle()
    if not circle:
        return []
    (kind, name), chain = circle[0], " <- ".join(name for _, name in circle)
    if kind == SYSTEM:
        key = f"systems.{name}.{config.systems[name].combination}.members"
        return [f"{key}: the members run in a circle: {chain}"]
    return [f"models.{name}.init.model: the inits run in a circle: {chain}"]
