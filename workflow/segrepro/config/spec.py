"""The resolved hyper-parameters of one model."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from segrepro.config.experiment import Config
from segrepro.config.protocols import Protocol
from segrepro.data.datasets import DATASETS
from segrepro.errors import UserError
from segrepro.labels import LABEL_SPACES
from segrepro.schema import Section, explain


def model_spec(config: Config, name: str) -> dict[str, Any]:
    """Return the resolved hyper-parameters of one model: all that its weights depend on, besides data and code.

    A change of the config that leaves this mapping equal leaves the model's weights valid.
    """
    model = config.models[name]
    dataset = DATASETS[model.dataset]
    return {
        "name": name,
        "seed": config.seed,
        "dataset": model.dataset,
        "repeat": _plain(model.repeat),
        "examples": _plain(model.examples),
        "label_space": dataset.label_space,
        "classes": len(LABEL_SPACES[dataset.label_space]),
        "network": config.networks[model.network].model_dump(mode="json", exclude_none=True),
        "protocol": _plain(config.protocols[model.protocol]) if model.protocol else None,
        "init": (model.init.model_dump(mode="json") | _weights_spec(config, model.init.weights))
        if model.init
        else None,
        "weights": _weights_spec(config, model.weights) or None,
    }


def with_whole_protocol(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a spec, as it was read, whose protocol is checked like the config's and has every key.

    A key that was added since the spec was written has its default, by which trainings were made before.

    Args:
        spec: of a model to be trained.
        path: where it was read from, for messages.

    Raises:
        UserError: there is no protocol, or a key of it is unknown or wrong.
    """
    if spec["protocol"] is None:
        raise UserError(f"{path}: has no protocol, as of published weights; give the spec of a model that is trained.")
    try:
        protocol = Protocol.model_validate(spec["protocol"])
    except ValidationError as error:
        raise UserError(f"{path}: protocol: {explain(error, Protocol)[0]}") from None
    return spec | {"protocol": _plain(protocol)}


def _plain(section: Section | None) -> dict[str, Any] | None:
    return section.model_dump(mode="json") if section else None


def _weights_spec(config: Config, name: str | None) -> dict[str, Any]:
    """Return what tells one file of weights from another, wherever it is fetched from.

    Not its checksum: one that becomes known after the training makes the weights no others. The file is an input of
    the training itself, and provenance records the sha256 that it has.
    """
    if name is None:
        return {}
    return config.weights[name].model_dump(mode="json", include={"file", "format", "averages"})
