"""Model files (``model.keras``): the same weights give the same bytes; weights move from model to model."""

import json
import zipfile
from pathlib import Path

import keras

from segrepro.errors import UserError
from segrepro.files import atomic_path

ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model atomically, without the time stamps that Keras and zip put into the file."""
    with atomic_path(path) as temporary:
        buffered = temporary.with_suffix(".stamped.keras")
        try:
            model.save(buffered)
            _without_dates(buffered, temporary)
        finally:
            buffered.unlink(missing_ok=True)


def _without_dates(source: Path, target: Path) -> None:
    with zipfile.ZipFile(source) as stamped, zipfile.ZipFile(target, "w") as plain:
        for name in sorted(stamped.namelist()):
            content = stamped.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                del metadata["date_saved"]
                content = json.dumps(metadata, sort_keys=True).encode()
            plain.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)


def load_model(path: Path) -> keras.Model:
    """Load a model that `save_model` wrote.

    Raises:
        UserError: the file is missing, truncated, or no Keras model.
    """
    import segrepro.models.layers  # registers the layers that the file names

    del segrepro
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path}: not a model that can be loaded ({reason}); train it again.") from error


def transfer_weights(source: keras.Model, target: keras.Model, *, head: str) -> list[str]:
    """Copy weights layer by layer, by name.

    Args:
        source: a trained model.
        target: the model to initialise.
        head: ``"keep"`` copies every layer; ``"replace"`` leaves the last layer with weights (the classifier) as
            initialised.

    Returns:
        The names of the target's layers that were left as initialised.

    Raises:
        UserError: a layer of the target is missing in the source, or has other shapes.
    """
    layers = [layer for layer in target.layers if layer.variables]
    given = {layer.name: layer for layer in source.layers}
    left = {layers[-1].name} if head == "replace" else set()
    for layer in layers:
        if layer.name in left:
            continue
        if layer.name not in given:
            raise UserError(f"init: layer '{layer.name}' is not in model '{source.name}'; the networks differ.")
        values = given[layer.name].get_weights()
        if [v.shape for v in values] != [w.shape for w in layer.get_weights()]:
            raise UserError(
                f"init: layer '{layer.name}' has other shapes in model '{source.name}'; set 'init.head: replace' "
                "if only the classes differ."
            )
        layer.set_weights(values)
    return sorted(left)
