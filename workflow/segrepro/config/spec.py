"""A model's spec: the resolved settings that its weights depend on, beside data and code.

`model_spec` resolves it from the config, ``segrepro spec`` writes it to ``spec.yaml``, `read_spec` reads it for whoever
trains or predicts, and the model's file carries it (`segrepro.models.model_files`), so that the two stay together. All
keys are written. What lacks a key, because it was written before there was one, has the key's default.
"""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from segrepro.config.models import Examples, Init, Repeat
from segrepro.config.networks import Network
from segrepro.config.protocols import Protocol
from segrepro.data.datasets import DATASETS
from segrepro.differences import first_difference
from segrepro.errors import UserError
from segrepro.json_files import refuse_twins
from segrepro.labels import LABEL_SPACES
from segrepro.schema import Count, Positive, Section, explain

if TYPE_CHECKING:
    from segrepro.config import Config

# In a .keras file, which is a zip archive: the spec that the model was made by, as sorted JSON. Keras passes it over.
SPEC_MEMBER = "segrepro_spec.json"


class WeightsFile(Section):
    """What tells one file of weights from another, wherever it is fetched from.

    Not its checksum: one that becomes known after the training makes the weights no others. The file is an input of
    the training itself, and provenance records the sha256 that it has.
    """

    file: str
    format: str
    averages: str = "plain"


class InitialWeights(Init):
    """Where the first weights come from, with what the section ``weights`` says of their file."""

    file: str | None = None
    format: str | None = None
    averages: str | None = None


class ModelSpec(Section):
    """The settings of one model; see the module's docstring."""

    name: str
    seed: Count
    dataset: str | None = None
    repeat: Repeat | None = None
    examples: Examples | None = None
    label_space: str
    classes: Positive
    network: Network
    protocol: Protocol | None = None
    init: InitialWeights | None = None
    weights: WeightsFile | None = None

    def plain(self) -> dict[str, Any]:
        """Return the spec as JSON and YAML hold it, with every key."""
        return self.model_dump(mode="json")

    def content(self) -> str:
        """Return the spec as sorted JSON: what `SPEC_MEMBER` holds, and what hashes are taken of."""
        return json.dumps(self.plain(), sort_keys=True)


def model_spec(config: "Config", name: str) -> ModelSpec:
    """Return the spec of one model; a change of the config that leaves it equal leaves the model's weights valid."""
    model = config.models[name]
    label_space = DATASETS[model.dataset].label_space
    init = model.init and InitialWeights(**model.init.model_dump(), **_file_of(config, model.init.weights))
    return ModelSpec(
        name=name,
        seed=config.seed,
        dataset=model.dataset,
        repeat=model.repeat,
        examples=model.examples,
        label_space=label_space,
        classes=len(LABEL_SPACES[label_space]),
        network=config.networks[model.network],
        protocol=config.protocols[model.protocol] if model.protocol else None,
        init=init,
        weights=WeightsFile(**_file_of(config, model.weights)) if model.weights else None,
    )


def _file_of(config: "Config", name: str | None) -> dict[str, Any]:
    return config.weights[name].model_dump(include=set(WeightsFile.model_fields)) if name else {}


def read_spec(path: Path) -> ModelSpec:
    """Read a model's spec (YAML, written by ``segrepro spec``); a `UserError` names the file, and the key at fault."""
    try:
        refuse_twins(path)
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: cannot read the model spec ({error}); make it with `segrepro spec`.") from None
    if not isinstance(content, dict) or not {"network", "classes", "seed", "label_space"} <= content.keys():
        raise UserError(f"{path}: not a model spec; make it with `segrepro spec`.")
    return _checked(content, f"{path}")


def read_spec_to_train(path: Path) -> ModelSpec:
    """Read the spec of a model that is trained; a `UserError` where it has no protocol."""
    spec = read_spec(path)
    if spec.protocol is None:
        raise UserError(f"{path}: has no protocol, as of published weights; give the spec of a model that is trained.")
    return spec


def read_spec_of(model: Path, path: Path) -> ModelSpec:
    """Read the spec of a model, and compare it with the one that the model file carries.

    A prediction takes label space, resize mode and boxes from it: another model's would give other numbers. A model
    file that carries none is taken as it comes. One that was made by another spec, or by one of another version, is a
    `UserError`.
    """
    spec = read_spec(path)
    carried = _carried(model)
    if carried is None:
        return spec
    made_by = _checked(carried, f"{model}: was made by another version, train it again")
    if found := first_difference(spec.plain(), made_by.plain()):
        raise UserError(
            f"{path}: not the spec of {model}: {found.key} is {found.first!r} here, and {found.second!r} in what the "
            "model was made by; give the spec.yaml that was written with it."
        )
    return spec


def check_init(model: Path, name: str) -> None:
    """Refuse a model file to start from that says that it is another model than the spec names."""
    carried = _carried(model)
    if carried is not None and carried.get("name") != name:
        raise UserError(
            f"{model}: is model '{carried.get('name')}', and the spec starts from '{name}' (init.model); give the file "
            "of that one by --init."
        )


def _checked(content: dict[str, Any], label: str) -> ModelSpec:
    try:
        return ModelSpec.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{label}: {explain(error, ModelSpec)[0]}") from None


def _carried(model: Path) -> dict[str, Any] | None:
    try:
        with zipfile.ZipFile(model) as archive:
            content = json.loads(archive.read(SPEC_MEMBER))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # whoever loads the model says what is wrong with it
        return None
    return content if isinstance(content, dict) else None
