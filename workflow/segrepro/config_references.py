"""What the config's parts say of each other: names that must exist, combinations that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segrepro.data.datasets import DATASETS
from segrepro.labels import LABEL_SPACES, VOC21, VOC_CLASSES
from segrepro.models.geometry import is_crop_allowed

if TYPE_CHECKING:
    from segrepro.config import Config, Model


def reference_problems(config: Config) -> list[str]:
    """Return one sentence for each reference that leads nowhere, starting with the key's path."""
    return [
        *_dataset_problems(config),
        *_model_problems(config),
        *_system_problems(config),
        *_init_cycles(config),
    ]


def _unknown(path: str, value: str, known: Any, what: str) -> str:
    return f"{path}: '{value}' names no {what}; there are {', '.join(known) or 'none'}"


def _dataset_problems(config: Config) -> list[str]:
    problems = []
    for name, checks in config.datasets.items():
        path = f"datasets.{name}"
        if name not in DATASETS:
            problems.append(_unknown("datasets", name, DATASETS, "dataset"))
            continue
        problems += [
            _unknown(f"{path}.disjoint_from", other, DATASETS, "dataset")
            for other in checks.disjoint_from
            if other not in DATASETS
        ]
        space = DATASETS[name].label_space
        classes = [c for c in LABEL_SPACES[space].classes if c] if space else list(VOC_CLASSES)
        problems += [
            _unknown(f"{path}.absent_classes", c, classes, "class") for c in checks.absent_classes if c not in classes
        ]
    return problems


def _dataset_use(config: Config, path: str, name: str) -> list[str]:
    if name not in DATASETS:
        return [_unknown(path, name, DATASETS, "dataset")]
    if not DATASETS[name].has_masks:
        return [f"{path}: '{name}' has no masks; choose a dataset with ground truth"]
    return []


def _model_problems(config: Config) -> list[str]:
    problems = []
    for name, model in config.models.items():
        path = f"models.{name}"
        problems += _dataset_use(config, f"{path}.dataset", model.dataset)
        for key, table in (
            ("network", config.networks),
            ("protocol", config.protocols),
            ("weights", config.weights),
        ):
            value = getattr(model, key)
            if value is not None and value not in table:
                problems.append(_unknown(f"{path}.{key}", value, table, key))
        if model.init and model.init.model is not None and model.init.model not in config.models:
            problems.append(_unknown(f"{path}.init.model", model.init.model, config.models, "model"))
        if model.init and model.init.weights is not None and model.init.weights not in config.weights:
            problems.append(_unknown(f"{path}.init.weights", model.init.weights, config.weights, "weights"))
        if model.network in config.networks and model.protocol in config.protocols:
            problems += _crop_problems(config, path, model)
        if model.repeat and model.dataset in DATASETS:
            classes = LABEL_SPACES[DATASETS[model.dataset].label_space or VOC21.name].classes
            problems += [
                _unknown(f"{path}.repeat.classes", name, [c for c in classes if c], "class")
                for name in model.repeat.classes
                if name not in classes
            ]
    return problems


def _crop_problems(config: Config, path: str, model: Model) -> list[str]:
    crop = config.protocols[model.protocol].crop
    stride = config.networks[model.network].output_stride
    if is_crop_allowed(crop, stride):
        return []
    below = max((crop - 1) // stride, 1) * stride + 1
    above = below + stride
    return [
        f"protocols.{model.protocol}.crop: {crop} does not fit output stride {stride} of "
        f"networks.{model.network} (used by {path}): take a multiple of {stride} plus 1, e.g. {below} or {above}"
    ]


def _system_problems(config: Config) -> list[str]:
    problems = []
    for name, system in config.systems.items():
        path = f"systems.{name}"
        if system.model not in config.models:
            problems.append(_unknown(f"{path}.model", system.model, config.models, "model"))
        for split in system.splits:
            problems += _dataset_use(config, f"{path}.splits", split)
        problems += [
            _unknown(f"{path}.reported", split, system.splits, "split of this system")
            for split in system.reported
            if split not in system.splits
        ]
    return problems


def _init_cycles(config: Config) -> list[str]:
    def parent(name: str) -> str | None:
        model = config.models.get(name)
        return model.init.model if model and model.init else None

    for start in config.models:
        chain = [start]
        while (following := parent(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following == start:
            return [f"models.{start}.init.model: the inits run in a circle: {' <- '.join([*chain, start])}"]
    return []
