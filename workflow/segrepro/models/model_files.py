"""Model files (``model.keras``): the same weights give the same bytes; weights move from model to model."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from segrepro.config.spec import SPEC_MEMBER, ModelSpec
from segrepro.errors import UserError
from segrepro.files import atomic_path
from segrepro.models.weights import classifier_layers

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_model(model: keras.Model, path: Path, spec: ModelSpec) -> None:
    """Save a model atomically, without what Keras and zip put into the file that changes from run to run.

    The file (``.keras``) carries the spec that it was made by, for `segrepro.config.spec.read_spec_of`.
    """
    with atomic_path(path) as temporary:
        buffered = temporary.with_suffix(".stamped.keras")
        try:
            model.save(buffered)
            _reproducible(buffered, temporary, spec)
        finally:
            buffered.unlink(missing_ok=True)


def _reproducible(source: Path, target: Path, spec: ModelSpec) -> None:
    """Copy a ``.keras`` file without its dates, and with its shared objects numbered in order of appearance."""
    with zipfile.ZipFile(source) as stamped, zipfile.ZipFile(target, "w") as plain:
        for name in sorted(stamped.namelist()):
            content = stamped.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                del metadata["date_saved"]
                content = json.dumps(metadata, sort_keys=True).encode()
            elif name == "config.json":
                content = json.dumps(_numbered(json.loads(content), {})).encode()
            plain.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
        plain.writestr(zipfile.ZipInfo(SPEC_MEMBER, ZIP_EPOCH), spec.content())


def _numbered(node: Any, numbers: dict[int, int]) -> Any:
    """Replace the memory addresses by which Keras names objects that layers share."""
    if isinstance(node, list):
        return [_numbered(item, numbers) for item in node]
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(value, len(numbers)) if key == "shared_object_id" else _numbered(value, numbers)
            for key, value in node.items()
        }
    return node


def load_model(path: Path) -> keras.Model:
    """Load a model that `save_model` wrote; a `UserError` where the file is missing, truncated or no Keras model."""
    import segrepro.models.layers  # registers the layers that the file names

    del segrepro
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path}: not a model that can be loaded ({reason}); train it again.") from error


def transfer_weights(source: keras.Model, target: keras.Model, *, head: str) -> list[str]:
    """Copy weights layer by layer, by name; return the names of the target's layers that were left as initialised.

    ``head``: ``keep`` copies every layer; ``replace`` leaves the layers that depend on the classes; ``extend`` leaves
    the layers that the source lacks (FCN-32s to 16s to 8s). A layer of the target that is missing in the source, or has
    other shapes, is a `UserError`.
    """
    layers = [layer for layer in target.layers if layer.weights]  # dropout's random state is a variable, no weight
    given = {layer.name: layer for layer in source.layers}
    left = {layer.name for layer in classifier_layers(target)} if head == "replace" else set()
    for layer in layers:
        if head == "extend" and layer.name not in given:
            left.add(layer.name)
        if layer.name in left:
            continue
        if layer.name not in given:
            raise UserError(
                f"init: layer '{layer.name}' is not in model '{source.name}'; the networks differ (set 'init.head: "
                "extend' if the new one has more layers on purpose)."
            )
        values = given[layer.name].get_weights()
        if [v.shape for v in values] != [w.shape for w in layer.get_weights()]:
            raise UserError(
                f"init: layer '{layer.name}' has other shapes in model '{source.name}'; set 'init.head: replace' "
                "if only the classes differ."
            )
        layer.set_weights(values)
    if len(left) == len(layers):
        raise UserError(f"init: no layer of '{target.name}' is in model '{source.name}'; the networks differ.")
    return sorted(left)
