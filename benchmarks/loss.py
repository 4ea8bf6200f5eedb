"""What do loss and gradient cost, of time and memory, beside TensorFlow's own cross-entropy?

Prints a Markdown table with a row for each size: CPU milliseconds of the loss of a micro-batch and its gradient by the
network's logits, and how much they raise the process's peak memory; by `segrepro.training.losses` and by
`tf.nn.sparse_softmax_cross_entropy_with_logits`, both deterministic. Each cell is a process of its own; CPU time,
because other load on the machine counts little in it; the median of --repeats.

Example:
  python benchmarks/loss.py --threads 2
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# What is trained: examples, side of the logits, side of the crop, classes.
SIZES = {
    "DeepLabv3 of the sample": (8, 13, 97, 21),
    "DeepLabv3+ of the sample": (8, 25, 97, 21),
    "DeepLabv3, 2 crops of 513": (2, 33, 513, 21),
    "DeepLabv3, 2 crops of 513, COCO-90": (2, 33, 513, 91),
    "DeepLabv3, 4 crops of 513, COCO-90": (4, 33, 513, 91),
}
WAYS = ("tensorflow", "ours")
MB = 1e6


def tensorflows(logits: Any, labels: Any, *, loss_at: str, resize: str) -> tuple[Any, Any]:
    """Return summed loss and correct pixels by TensorFlow's operation, as this project had them before."""
    import tensorflow as tf

    from segrepro.models.layers import resize_bilinear

    logits = resize_bilinear(logits, labels.shape[1:3], resize)
    targets = tf.cast(labels, tf.int32)
    correct = tf.argmax(logits, axis=-1, output_type=tf.int32) == targets
    every = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.reduce_sum(every), tf.reduce_sum(tf.cast(correct, tf.float32))


def measure(way: str, size: tuple[int, ...], threads: int, repeats: int) -> tuple[float, float]:
    """Return CPU seconds of loss and gradient, and the bytes by which they raise the peak memory."""
    import tensorflow as tf

    from segrepro.training.devices import prepare_tensorflow
    from segrepro.training.losses import summed_cross_entropy

    prepare_tensorflow(threads)
    loss = tensorflows if way == "tensorflow" else summed_cross_entropy
    examples, side, crop, classes = size
    logits = tf.random.stateless_normal((examples, side, side, classes), (0, 0))
    labels = tf.random.stateless_uniform((examples, crop, crop), (0, 1), 0, classes, tf.int32)
    labels = tf.cast(labels, tf.uint8)

    @tf.function
    def step() -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total, correct = loss(logits, labels, loss_at="label", resize="legacy")
        return correct, tape.gradient(total, logits)

    step.get_concrete_function()
    before, times = peak_bytes(), []
    for _ in range(repeats):
        started = time.process_time()
        step()[1].numpy()
        times.append(time.process_time() - started)
    return statistics.median(times), peak_bytes() - before


def peak_bytes() -> int:
    """Return the peak of this process's resident set (Linux: in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Measure each way at each size, in processes of their own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU cores to use (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement (5)")
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(measure(*args.task, args.threads, args.repeats)))
        return
    head = [f"{unit}, {way}" for unit in ("CPU ms", "MB") for way in WAYS]
    print(f"| loss and gradient | {' | '.join(head)} |\n|---|{'--:|' * len(head)}", flush=True)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT / "workflow")}
    options = ["--threads", str(args.threads), "--repeats", str(args.repeats)]
    for name, size in SIZES.items():
        measured = []
        for way in WAYS:
            command = [sys.executable, __file__, *options, "--task", json.dumps([way, size])]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            measured.append(json.loads(done.stdout.splitlines()[-1]))
        cells = [f"{seconds * 1e3:,.0f}" for seconds, _ in measured] + [f"{size / MB:,.0f}" for _, size in measured]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
