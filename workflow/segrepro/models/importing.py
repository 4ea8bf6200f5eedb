"""Weights from anywhere into a network: complete both ways, or an error that says what does not fit.

Every variable that a file must give is set exactly once, every variable in the file is used, and all shapes agree;
else nothing is set. What a file may hold besides is named in `tf1_names`, and nothing else is passed over.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras

from segrepro.config.networks import Network
from segrepro.errors import UserError
from segrepro.models.layers import Normalise, ResizeLike
from segrepro.models.model_files import load_model
from segrepro.models.tf1_checkpoints import Checkpoint, open_checkpoint
from segrepro.models.tf1_names import AVERAGE, LAYOUTS, STATISTICS, STEP, Layout
from segrepro.models.upsampling import AlignedSum, CropLike
from segrepro.models.weights import classifier_layers, faults_of, load_backbone_weights

FORMATS = (*LAYOUTS, "keras_applications", "segrepro")
# Which values of a checkpoint: as trained, or their moving averages.
AVERAGES = ("plain", "ema")
# What the result of a layer depends on besides its weights, at any output stride.
GRAPH_ATTRIBUTES = (
    (keras.layers.BatchNormalization, "epsilon"),
    (keras.layers.MaxPooling2D, "padding"),
    (Normalise, "mode"),
    (ResizeLike, "mode"),
    (CropLike, "offset"),
    (AlignedSum, "offset"),
    (keras.layers.Rescaling, "scale"),
)

Shapes = Mapping[str, tuple[int, ...]]


def load_weights(
    model: keras.Model, network: Network, weights: Path, *, file_format: str, averages: str = "plain"
) -> list[keras.Variable]:
    """Load a file of any known format into a network, whole or its backbone; return the variables that were set.

    Args:
        model: what ``build_network(network, ...)`` gave.
        network: its description.
        weights: a file, or for TF1 checkpoints also a prefix, a folder or an archive.
        file_format: one of `FORMATS`: a key of ``tf1_names.LAYOUTS``, ``keras_applications`` (backbone only), or
            ``segrepro``: a model of this project (.keras) of any output stride.
        averages: ``ema`` takes the moving averages that a TF1 checkpoint holds of its variables, ``plain`` the
            variables. The batch norms' statistics are averaged only in some checkpoints.

    Raises:
        UserError: the file is missing, damaged, or not complete both ways.
    """
    check_network(network, file_format)
    if averages not in AVERAGES:
        raise UserError(f"averages is {averages!r}: use one of {', '.join(AVERAGES)}.")
    if file_format in LAYOUTS:
        with open_checkpoint(weights) as checkpoint:
            return _load_checkpoint(model, checkpoint, LAYOUTS[file_format], network.backbone, averages)
    if averages != "plain":
        raise UserError(f"averages: files of format {file_format} hold none; use 'plain'.")
    if file_format == "keras_applications":
        return load_backbone_weights(model, weights, network.backbone)
    return _load_model(model, Path(weights))


def check_network(network: Network, file_format: str) -> None:
    """Refuse a format whose files cannot fit a network, or by which it would not compute what the original did.

    Output strides other than the original's are allowed: the weights are valid for all.
    """
    if file_format not in FORMATS:
        raise UserError(f"format is {file_format!r}: use one of {', '.join(FORMATS)}.")
    layout = LAYOUTS.get(file_format)
    if layout is None:
        return
    if layout.architecture and network.architecture != layout.architecture:
        raise UserError(
            f"network.architecture is {network.architecture!r}, but files of format {file_format} hold "
            f"{layout.architecture}: change it, or the format."
        )
    if not network.backbone.startswith(layout.backbones):
        names = " or ".join(f"{prefix}*" for prefix in layout.backbones)
        raise UserError(
            f"network.backbone is {network.backbone!r}, but files of format {file_format} hold {names}: change "
            "it, or the format."
        )
    for key, choices in layout.settings.items():
        value = getattr(network, key)
        if (tuple(value) if isinstance(value, list) else value) not in choices:
            raise UserError(
                f"network.{key} is {value!r}, but networks in files of format {file_format} have {choices[-1]!r}: the "
                "imported one would compute something else; change it."
            )


def _load_checkpoint(
    model: keras.Model, checkpoint: Checkpoint, layout: Layout, backbone: str, averages: str
) -> list[keras.Variable]:
    wanted: dict[str, keras.Variable] = {}
    for key, variable in _variables(model).items():
        name = layout.tf1_name(*key, backbone=backbone)
        if name is None and layout.architecture:
            name = "/".join(key)  # the layout knows no such variable: it is then missing in any file
        if name is not None:
            wanted[name] = variable
    stored = {name: name for name in wanted}
    if averages == "ema":
        stored = {name: _averaged(name, checkpoint) for name in wanted}
    known = wanted.keys() | {f"{backbone}/{name}" for name in layout.ignored}
    classifier = [weight for layer in classifier_layers(model) for weight in layer.weights]
    _check_complete(
        checkpoint.label,
        model,
        {stored[name]: tuple(variable.shape) for name, variable in wanted.items()},
        checkpoint.shapes,
        extra=[name for name in checkpoint.shapes if name != STEP and not _belongs(name, known)],
        classifier={stored[name] for name, v in wanted.items() if any(v is own for own in classifier)},
    )
    values = {name: checkpoint.read(stored[name]) for name in wanted}
    for name, variable in wanted.items():
        variable.assign(values[name])
    return list(wanted.values())


def _belongs(name: str, known: Collection[str]) -> bool:
    """Whether a name is a known variable's, or that of what any optimiser keeps for it: ``<variable>/<anything>``."""
    parts = name.split("/")
    return any("/".join(parts[:length]) in known for length in range(1, len(parts) + 1))


def _averaged(name: str, checkpoint: Checkpoint) -> str:
    """Return the name of a variable's moving average; its own name for statistics that have none."""
    if not any(stored.endswith(AVERAGE) for stored in checkpoint.shapes):
        raise UserError(f"{checkpoint.label}: holds no moving averages (*{AVERAGE}); take averages 'plain'.")
    is_statistic = name.endswith(STATISTICS)
    return name if is_statistic and name + AVERAGE not in checkpoint.shapes else name + AVERAGE


def _load_model(model: keras.Model, path: Path) -> list[keras.Variable]:
    source = load_model(path)
    wanted, given = _variables(model), _variables(source)
    _check_complete(
        str(path),
        model,
        _shapes(wanted),
        _shapes(given),
        extra=["/".join(key) for key in given if key not in wanted],
        classifier={f"{layer.name}/{weight.name}" for layer in classifier_layers(model) for weight in layer.weights},
    )
    ours, theirs = _graph_settings(model), _graph_settings(source)
    for place, value in ours.items():
        if theirs.get(place, value) != value:
            raise UserError(
                f"{path}: was saved from a network whose layer {place} is {theirs[place]!r}, but the spec's network "
                f"has {value!r}; take the spec that it was trained by."
            )
    for key, variable in wanted.items():
        variable.assign(given[key])
    return list(wanted.values())


def _graph_settings(model: keras.Model) -> dict[str, Any]:
    return {
        f"{layer.name}.{attribute}": getattr(layer, attribute)
        for layer in model.layers
        for kind, attribute in GRAPH_ATTRIBUTES
        if isinstance(layer, kind)
    }


def _variables(model: keras.Model) -> dict[tuple[str, str], keras.Variable]:
    """Return a model's weights by the names of layer and variable; not the random states of dropouts."""
    return {(layer.name, variable.name): variable for layer in model.layers for variable in layer.weights}


def _shapes(variables: Mapping[tuple[str, str], keras.Variable]) -> Shapes:
    return {"/".join(key): tuple(variable.shape) for key, variable in variables.items()}


def _check_complete(
    label: str, model: keras.Model, wanted: Shapes, given: Shapes, *, extra: list[str], classifier: set[str]
) -> None:
    """Refuse a file that lacks some of ``wanted``, has ``extra``, or has other shapes.

    ``classifier`` are those of the wanted that depend on the number of classes.
    """
    missing = [name for name in wanted if name not in given]
    others = [name for name, shape in wanted.items() if name in given and given[name] != shape]
    if others and not missing and not extra and classifier.issuperset(others):
        theirs, ours = given[others[0]][-1], wanted[others[0]][-1]
        raise UserError(
            f"{label}: holds a classifier of {theirs} classes, but {model.name} has {ours}; import it for a dataset "
            f"of {theirs} classes, and fine-tune another model from that with 'init.head: replace'."
        )
    shapes = [f"{name} {given[name]} for {wanted[name]}" for name in others]
    if faults := faults_of({"it lacks": missing, "it has besides": extra, "of another shape is": shapes}):
        raise UserError(
            f"{label}: holds another network than {model.name}: {faults}; take the file of this network, or the spec "
            "of the file's."
        )
