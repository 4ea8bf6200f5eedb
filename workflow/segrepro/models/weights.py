"""Weights of ``keras.applications`` into a network's backbone, by layer name, complete both ways."""

import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path

import h5py
import keras
import numpy as np

from segrepro.errors import UserError

# Layers that may be in a file of keras.applications and that no network here has: classifiers, and MobileNetV2's last
# convolution, which DeepLab leaves out.
CLASSIFIER_LAYERS = {"predictions", "probs", "Conv_1", "Conv_1_bn"}
# The layers that a ResNet shares with keras.applications; and a VGG, of which batch norms are not among them.
RESNET_LAYER = re.compile(r"(conv[1-5]|post)_.*")
VGG = "vgg"  # what the names of the backbones begin with that are VGGs
VGG_LAYER = re.compile(r"block[1-5]_conv\d")
MOBILENET = "mobilenet"
MOBILENET_LAYER = re.compile(r"(bn_)?Conv1|(expanded_conv|block_\d+)_.*")
# The fully connected layers of keras.applications' VGG16, and the convolutions here that do the same.
FULLY_CONNECTED = {"fc1": "fc6", "fc2": "fc7"}
APPLICATIONS = {
    "vgg16": keras.applications.VGG16,
    "resnet_v1_50": keras.applications.ResNet50,
    "resnet_v1_101": keras.applications.ResNet101,
    "resnet_v1_152": keras.applications.ResNet152,
    "resnet_v2_50": keras.applications.ResNet50V2,
    "resnet_v2_101": keras.applications.ResNet101V2,
    "resnet_v2_152": keras.applications.ResNet152V2,
    "mobilenet_v2": keras.applications.MobileNetV2,
}
# Keras 3's .weights.h5 calls the n-th layer of a class so, with _n behind for n > 0.
UNNAMED_GROUPS = {
    keras.layers.Conv2D: "conv2d",
    keras.layers.DepthwiseConv2D: "depthwise_conv2d",
    keras.layers.BatchNormalization: "batch_normalization",
}
UNNAMED_DENSE = "dense"
# Keras published VGG16 in 2016, before layers named their variables kernel and bias: block1_conv1_W_1:0, fc1_b_1:0.
# Keras 2's depthwise convolutions have a depthwise_kernel.
OLD_NAME = re.compile(r".*_(W|b|kernel)(_\d+)?")
OLD_KEYS = {"W": "kernel", "b": "bias", "kernel": "kernel"}
# FCN's layers that have as many channels as there are classes; other networks have one such, their last.
SCORE_LAYER = re.compile(r"score_.*|upscore.*")
# What h5py and Keras raise on files that are damaged or of another kind.
UNREADABLE = (OSError, ValueError, KeyError, TypeError)
NAMES_SHOWN = 3

# layer name -> variable name (kernel, bias, gamma, beta, moving_mean, moving_variance) -> array
Weights = dict[str, dict[str, np.ndarray]]


def classifier_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers whose weights depend on the number of classes, in the model's order."""
    layers = [layer for layer in model.layers if layer.weights]
    return [layer for layer in layers if SCORE_LAYER.fullmatch(layer.name)] or layers[-1:]


def load_backbone_weights(model: keras.Model, path: str | Path, backbone: str) -> list[keras.Variable]:
    """Load the backbone of ``model`` from a weights file of ``keras.applications``' ResNet, VGG16 or MobileNetV2.

    The weights of ResNet-v2 and MobileNetV2 were trained on pictures in [-1, 1]: the network's normalisation should be
    ``keras_tf``; those of ResNet-v1 and VGG16 on mean-subtracted BGR: ``caffe`` or ``caffe_ilsvrc``.

    VGG16's classifier gives ``fc6`` and ``fc7`` too, where the file has it and they have its shapes (7 x 7 and 4096
    channels). Narrower ones stay as initialised, as do the batch norms that a network here puts into its VGG.

    The file is an ``.h5`` (as Keras publishes them, with or without classifier), ``.keras`` or ``.weights.h5``; for the
    last one the backbone is a key of `APPLICATIONS`. Of the variables of ``model`` those that were set are returned:
    all that the backbone has were, or none.

    Raises:
        UserError: the file is absent or unreadable, is of another network, lacks variables of the backbone or
            has more layers than it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} does not exist: give a weights file of keras.applications.")
    given = _read(path, backbone, model.name)
    given = {name: arrays for name, arrays in given.items() if name not in CLASSIFIER_LAYERS}
    layers = {VGG: VGG_LAYER, MOBILENET: MOBILENET_LAYER}
    wanted = _variables(model, layers.get(_kind(backbone), RESNET_LAYER))
    if backbone.startswith(VGG) and FULLY_CONNECTED.keys() <= given.keys():
        convolutions = _variables(model, re.compile("|".join(FULLY_CONNECTED.values())))
        dense = {target: given.pop(name) for name, target in FULLY_CONNECTED.items()}
        if _fit(dense, convolutions):
            wanted |= convolutions
            given |= {
                name: {**arrays, "kernel": arrays["kernel"].reshape(convolutions[name]["kernel"].shape)}
                for name, arrays in dense.items()
            }
    missing = [
        f"{name}/{key} {tuple(variable.shape)}"
        for name, variables in wanted.items()
        for key, variable in variables.items()
        if name not in given or key not in given[name] or given[name][key].shape != tuple(variable.shape)
    ]
    unused = [f"{name}/{key}" for name in given for key in given[name] if key not in wanted.get(name, {})]
    if faults := faults_of({"it lacks": missing, "it has besides": unused}):
        raise UserError(f"{path} holds weights of another network than {model.name}: {faults}; {_remedy(backbone)}.")
    for name, variables in wanted.items():
        for key, variable in variables.items():
            variable.assign(given[name][key])
    return [variable for variables in wanted.values() for variable in variables.values()]


def _variables(model: keras.Model, names: re.Pattern) -> dict[str, dict[str, keras.Variable]]:
    """Return the variables of the layers that are called so, by the names of layer and variable."""
    return {
        layer.name: {variable.name: variable for variable in layer.weights}
        for layer in model.layers
        if layer.weights and names.fullmatch(layer.name)
    }


def _fit(dense: Weights, convolutions: Mapping[str, Mapping[str, keras.Variable]]) -> bool:
    """Tell whether dense kernels (rows, columns) can become the convolutions' (side, side, channels, columns).

    Keras flattens maps row by row, channels last: a reshape is all that it takes.
    """
    if dense.keys() != convolutions.keys() or not all("kernel" in arrays for arrays in dense.values()):
        return False
    shapes = {name: tuple(variables["kernel"].shape) for name, variables in convolutions.items()}
    return all(dense[name]["kernel"].shape == (prod(shape[:3]), shape[3]) for name, shape in shapes.items())


def _kind(backbone: str) -> str | None:
    return next((kind for kind in (VGG, MOBILENET) if backbone.startswith(kind)), None)


def _remedy(backbone: str) -> str:
    kinds = {VGG: "VGG16", MOBILENET: "MobileNetV2 of the same width"}
    kind = kinds.get(_kind(backbone), "ResNet of the same version and depth")
    return f"give the weights file of keras.applications' {kind}"


def faults_of(found: Mapping[str, list[str]]) -> str:
    """Return a part of a sentence that says what is wrong with a file: each kind of fault, and where it first is."""
    return "; ".join(
        f"{kind} {', '.join(names[:NAMES_SHOWN])}"
        + (f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else "")
        for kind, names in found.items()
        if names
    )


def _read(path: Path, backbone: str, model_name: str) -> Weights:
    try:
        if path.suffix == ".keras":
            return _of_model(keras.models.load_model(path, compile=False))
        with h5py.File(path) as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _of_legacy_file(group)
            return _of_unnamed_file(file["layers"], backbone)
    except UNREADABLE as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{path} is damaged or holds no weights of {model_name}'s backbone ({reason}): {_remedy(backbone)}."
        ) from error


def _of_model(model: keras.Model) -> Weights:
    return {
        layer.name: {variable.name: variable.numpy() for variable in layer.weights}
        for layer in model.layers
        if layer.weights
    }


def _of_legacy_file(group: h5py.Group) -> Weights:
    """Read Keras 2's layout: one group per layer, datasets ``layer/kernel:0``, or ``layer_W_1:0`` in the oldest."""
    weights: Weights = {}
    for layer in group.attrs["layer_names"]:
        layer = _text(layer)
        for dataset in group[layer].attrs["weight_names"]:
            name = _text(dataset)
            key = name.split("/")[-1].split(":")[0]
            old = OLD_NAME.fullmatch(key)
            weights.setdefault(layer, {})[OLD_KEYS[old[1]] if old else key] = np.asarray(group[layer][name])
    return weights


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _of_unnamed_file(group: h5py.Group, backbone: str) -> Weights:
    """Read Keras 3's ``.weights.h5``, which names no layers but counts those of each class.

    The counting order is that of the application which was saved. Keras' own ``load_weights`` only warns where
    groups are left over; here such groups keep their name, and so count as unused.
    """
    if backbone not in APPLICATIONS:
        raise ValueError("keras.applications has no such backbone")
    application = APPLICATIONS[backbone](weights=None, include_top=False)
    layers = [
        (layer.name, UNNAMED_GROUPS[type(layer)], [variable.name for variable in layer.weights])
        for layer in application.layers
        if layer.weights
    ]
    classifier = (*(FULLY_CONNECTED if backbone.startswith(VGG) else ()), "predictions")
    layers += [(layer, UNNAMED_DENSE, ["kernel", "bias"]) for layer in classifier if UNNAMED_DENSE in group]
    groups = {name: entry["vars"] for name, entry in group.items() if len(entry.get("vars", ()))}
    weights: Weights = {}
    counts: Counter[str] = Counter()
    for name, kind, keys in layers:
        arrays = groups.pop(f"{kind}_{counts[kind]}" if counts[kind] else kind, {})
        counts[kind] += 1
        weights[name] = {keys[int(n)] if int(n) < len(keys) else n: np.asarray(value) for n, value in arrays.items()}
    left = {name: {n: np.asarray(value) for n, value in arrays.items()} for name, arrays in groups.items()}
    return weights | left
