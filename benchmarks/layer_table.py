"""Which layers does a network have: kernels, output shapes, parameters?

Prints a Markdown table of the convolutions, poolings and unpoolings of one network with 21 classes, as it sees one
training crop. Building a full-size network takes seconds, and memory for its weights.

Example:
  python benchmarks/layer_table.py deconvnet:vgg16
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def layer_rows(model: Any, height: int, width: int) -> list[tuple[str, str, str, int, int]]:
    """Describe a network's convolutions, poolings and unpoolings, in order.

    Args:
        model: any network of this project.
        height: of the picture, pixels.
        width: of the picture, pixels.

    Returns:
        A row a layer: name, kernel (``3 x 3``), output shape without the batch (``224 x 224 x 64``), its parameters,
        and those of the batch norm that follows it, the two moving statistics a channel included.
    """
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D, keras.layers.MaxPooling2D)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    of_norms = {norm.input._keras_history.operation.name: norm.count_params() for norm in norms}
    outputs = {layer.name: layer.output for layer in model.layers}
    shapes = keras.Model(model.inputs, outputs).compute_output_shape((1, height, width, 3))
    rows = []
    for layer in model.layers:
        if not isinstance(layer, kinds) and type(layer).__name__ != "Unpooling":
            continue
        kernel = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", (2, 2))
        cells = (" x ".join(map(str, extents)) for extents in (kernel, shapes[layer.name][1:]))
        rows.append((layer.name, *cells, layer.count_params(), of_norms.get(layer.name, 0)))
    return rows


def layer_table(model: Any, height: int, width: int) -> list[str]:
    """Return the lines of a Markdown table of `layer_rows`, with a last row of totals."""
    lines = ["| layer | kernel | output | parameters | batch norm |", "|---|---|---|--:|--:|"]
    rows = layer_rows(model, height, width)
    rows.append(("all", "", "", sum(row[3] for row in rows), sum(row[4] for row in rows)))
    for name, kernel, output, parameters, norm in rows:
        counts = [f"{count:,}" if count else "" for count in (parameters, norm)]
        lines.append(f"| {' | '.join((name, kernel, output, *counts))} |")
    return lines


def main() -> None:
    """Build the network and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="a name of config.yaml, or architecture:backbone")
    args = parser.parse_args()
    from network_cost import CLASSES, CROP, networks

    from segrepro.models.build import build_network

    [network] = networks([args.network]).values()
    size = getattr(network, "input_size", CROP)
    print("\n".join(layer_table(build_network(network, CLASSES), size, size)))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
