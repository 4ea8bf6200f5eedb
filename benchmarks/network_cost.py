"""What do the full-size networks cost: parameters, multiply-adds, memory and time?

Prints a Markdown table with a row for each measurement: prediction of a 500 x 375 picture at output strides 16 and 8,
with the papers' test-time augmentation (output stride 8, six scales, mirrored), and a training step on 513 x 513 crops.
Networks whose output stride is fixed (FCN, DeconvNet) have one prediction in place of those; DeconvNet's pictures and
crops are of its input size, 224 x 224.

Weights and pixels are random, which changes neither memory nor time. Each measurement is a process of its own; its
peak memory is the resident set's (Linux only: /proc), TensorFlow's own 0.7 GB included. Multiply-adds are those of
convolutions and matrix products in forward passes, read off the TensorFlow graph.

Networks are those of config.yaml, or some of them by name, or architecture:backbone with the defaults of the code.

Example:
  python benchmarks/network_cost.py --threads 2 --batches 1 2 4
  python benchmarks/network_cost.py deeplabv3_r101 deeplabv3plus:xception_65 --measure predict-8 augmented
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CROP = 513  # side of the papers' training crops, pixels
CLASSES = 21
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
GB = 1e9
MEASURES = ("predict-16", "predict-8", "augmented", "predict", "train")
REPEATS = 3


def networks(names: list[str]) -> dict[str, Any]:
    """Return the descriptions of the networks asked for; those of config.yaml when none are."""
    from segrepro.config import parse_config

    declared = parse_config(yaml.safe_load((ROOT / "config.yaml").read_text()) | {"scale": "full"}).networks
    found = {}
    for name in names or declared:
        if name in declared:
            found[name] = declared[name]
        elif ":" in name:
            found[name] = with_backbone(declared.values(), *name.split(":"))
        else:
            sys.exit(f"'{name}' is no network of config.yaml ({', '.join(declared)}) nor architecture:backbone.")
    return found


def with_backbone(declared: Iterable[Any], architecture: str, backbone: str) -> Any:
    """Return config.yaml's first network of an architecture with another backbone."""
    from segrepro.config.networks import VARIANTS

    first = next(network for network in declared if network.architecture == architecture)
    variants = VARIANTS.get(backbone.rpartition("_")[0])
    changes = {"backbone": backbone} | ({"variant": variants[0]} if variants else {})
    return type(first).model_validate(first.model_dump() | changes)


def seconds_of(call: Callable[[], Any], repeats: int) -> float:
    """Return the median time of some calls after a first one, which compiles."""
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measure_prediction(model: Any, size: tuple[int, int]) -> tuple[float, int]:
    """Return seconds a picture of a size (height, width) and multiply-adds."""
    import numpy as np
    import tensorflow as tf

    from segrepro.models.operations import multiply_adds

    pictures = tf.constant(np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8))
    forward = tf.function(lambda p: model(tf.cast(p, tf.float32), training=False))
    return seconds_of(lambda: forward(pictures).numpy(), REPEATS), multiply_adds(model, *size)


def measure_augmented(model: Any, resize: str) -> tuple[float, int]:
    """Return seconds a picture and multiply-adds of multi-scale and mirrored prediction."""
    import numpy as np
    import tensorflow as tf

    from segrepro.config.systems import Prediction
    from segrepro.inference.augmented import AugmentedModel, scaled_extent
    from segrepro.models.operations import PICTURE, multiply_adds

    augmented = AugmentedModel(model, Prediction(scales=list(SCALES), flip=True), resize=resize)
    pictures = np.random.default_rng(0).integers(0, 256, (1, *PICTURE, 3), np.uint8)
    augmented(tf.constant(pictures[:, :64, :64]))  # compiles
    started = time.perf_counter()
    augmented(tf.constant(pictures))
    seconds = time.perf_counter() - started
    sizes = [[scaled_extent(extent, scale, resize) for extent in PICTURE] for scale in SCALES]
    return seconds, 2 * sum(multiply_adds(model, *size) for size in sizes)


def measure_training(model: Any, resize: str, batch: int, crop: int, *, remat: bool) -> tuple[float, int]:
    """Return seconds a step of one micro-batch of square crops, and multiply-adds of its forward pass."""
    import numpy as np
    import tensorflow as tf

    from segrepro.config.protocols import Protocol
    from segrepro.models.operations import multiply_adds
    from segrepro.training.optimiser import build_optimiser
    from segrepro.training.step import compile_steps

    protocol = Protocol(
        **{"steps": 1, "log_every": 1, "micro_batch": batch, "crop": crop, "remat": remat, "flip": False},
        **{"schedule": "fixed", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 1e-4, "weight_decay_on": "all"},
    )
    optimiser = build_optimiser(protocol, 1e-3, model)
    optimiser.build(model.trainable_variables)
    steps = compile_steps(model, optimiser, protocol, resize, tf.distribute.get_strategy())
    random = np.random.default_rng(0)
    pictures = tf.constant(random.integers(0, 256, (batch, crop, crop, 3)), tf.float32)
    labels = tf.constant(random.integers(0, CLASSES, (batch, crop, crop)), tf.uint8)

    def step() -> None:
        gradients, sums = steps.gradients(pictures, labels)
        steps.apply(gradients)
        sums.numpy()

    return seconds_of(step, 1), batch * multiply_adds(model, crop, crop)


def measures_of(network: Any) -> tuple[str, ...]:
    """Return what can be measured of a network; only DeepLab has a choice of output strides."""
    if network.architecture.startswith("deeplab"):
        return ("predict-16", "predict-8", "augmented", "train")
    return ("predict", "train")


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Measure one thing in this process."""
    from pydantic import TypeAdapter

    from segrepro.config.networks import Network
    from segrepro.models import build
    from segrepro.models.operations import PICTURE
    from segrepro.training.devices import prepare_tensorflow

    prepare_tensorflow(task["threads"])
    network, what = TypeAdapter(Network).validate_python(task["network"]), task["measure"]
    if what in ("predict-16", "predict-8", "augmented"):
        network = network.model_copy(update={"output_stride": 16 if what == "predict-16" else 8})
    crop = getattr(network, "input_size", CROP)
    picture = (crop, crop) if hasattr(network, "input_size") else PICTURE
    model = build.build_network(network, CLASSES)
    parameters = model.count_params()
    if what == "train":
        seconds, operations = measure_training(model, network.resize, task["batch"], crop, remat=task["remat"])
    elif what == "augmented":
        seconds, operations = measure_augmented(model, network.resize)
    else:
        seconds, operations = measure_prediction(model, picture)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    return {
        "parameters": parameters,
        "seconds": seconds,
        "operations": operations,
        "peak": peak,
        "output_stride": getattr(network, "output_stride", None),
        "crop": crop,
        "picture": picture,
    }


def in_a_process(task: dict[str, Any]) -> dict[str, Any] | None:
    """Measure in a process of its own; None when it died (of memory, most likely)."""
    command = [sys.executable, __file__, "--task", json.dumps(task)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        print(f"{task}: exit code {done.returncode}\n{done.stderr[-2000:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def described(task: dict[str, Any], result: dict[str, Any]) -> str:
    """Say in words what was measured."""
    stride = f", output stride {result['output_stride']}" if result["output_stride"] else ""
    if task["measure"] == "train":
        remat = ", remat" if task["remat"] else ""
        return f"training step, batch {task['batch']}, crop {result['crop']}{stride}{remat}"
    height, width = result["picture"]
    picture = f"{width} x {height}{stride}"
    if task["measure"] == "augmented":
        return f"prediction, {picture}, scales {SCALES[0]}..{SCALES[-1]}, mirrored"
    return f"prediction, {picture}"


def main() -> None:
    """Measure what is asked for and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help="names of config.yaml, or architecture:backbone (default: all)")
    parser.add_argument("--measure", nargs="+", choices=MEASURES, default=MEASURES, help="what to measure")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4], help="of the training steps")
    parser.add_argument("--remat", action="store_true", help="training steps recompute activations (protocols' remat)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU cores to use (default: all)")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(measure(args.task)))
        return
    print("| network | parameters (10^6) | measured | multiply-adds, forward (10^9) | seconds | peak memory (GB) |")
    print("|---|--:|---|--:|--:|--:|", flush=True)
    for name, network in networks(args.networks).items():
        for what in (name for name in args.measure if name in measures_of(network)):
            for batch in args.batches if what == "train" else [1]:
                task = {
                    "network": network.model_dump(mode="json"),
                    "measure": what,
                    "batch": batch,
                    "threads": args.threads,
                }
                task["remat"] = args.remat
                result = in_a_process(task)
                if result is None:
                    print(f"| {name} | | {what}, batch {batch} | | failed | |", flush=True)
                    continue
                cells = [name, f"{result['parameters'] / 1e6:.2f}", described(task, result)]
                cells += [
                    f"{result['operations'] / 1e9:,.0f}",
                    f"{result['seconds']:.1f}",
                    f"{result['peak'] / GB:.2f}",
                ]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
