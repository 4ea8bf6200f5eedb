"""The network that a training starts with: built from its spec, with its first weights, partly frozen."""

import sys
from collections.abc import Collection
from pathlib import Path

import keras

from segrepro.config.spec import ModelSpec, check_init
from segrepro.errors import UserError
from segrepro.models.blocks import freeze_batch_norm
from segrepro.models.build import build_network
from segrepro.models.importing import load_weights
from segrepro.models.model_files import load_model, transfer_weights


def initial_model(spec: ModelSpec, init: Path | None) -> keras.Model:
    """Build the spec's network and give it its first weights; what the protocol freezes is frozen.

    The log says which layers the file ``init`` had nothing for: those start from the seed.
    """
    model = build_network(spec.network, spec.classes, seed=spec.seed)
    if (source := spec.init) is not None:
        if init is None:
            raise UserError(f"model '{spec.name}' starts from other weights (init): give their file by --init.")
        if source.model is not None:
            check_init(init, source.model)
            left = transfer_weights(load_model(init), model, head=source.head)
        else:
            options = {"file_format": source.format, "averages": source.averages}
            left = _layers_without(model, load_weights(model, spec.network, init, **options))
        _print_summary(model, init, left)
    if spec.protocol.freeze_batch_norm:
        freeze_batch_norm(model)
    _freeze_layers(model, spec.protocol.frozen_layers)
    return model


def _layers_without(model: keras.Model, variables: list[keras.Variable]) -> list[str]:
    given = {variable.path for variable in variables}
    return [layer.name for layer in model.layers if layer.weights and given.isdisjoint(w.path for w in layer.weights)]


def _print_summary(model: keras.Model, init: Path, left: Collection[str]) -> None:
    initialised = [layer for layer in model.layers if layer.name in left]
    total = len(model.weights)
    given = total - sum(len(layer.weights) for layer in initialised)
    names = ", ".join(layer.name for layer in initialised) or "none"
    print(f"init: {init}: {given} of {total} variables set; layers left as initialised: {names}", file=sys.stderr)


def _freeze_layers(model: keras.Model, prefixes: list[str]) -> None:
    for prefix in prefixes:
        frozen = [layer for layer in model.layers if layer.weights and layer.name.startswith(prefix)]
        if not frozen:
            raise UserError(
                f"frozen_layers: no layer of '{model.name}' has a name that starts with '{prefix}'; its layers are "
                f"{', '.join(layer.name for layer in model.layers if layer.weights)}."
            )
        for layer in frozen:
            layer.trainable = False
