"""Is this project's unpooling as fast as TensorFlow's own pair, `max_pool_with_argmax` and `scatter_nd`?

Prints a Markdown table with a row for each of DeconvNet's five unpoolings at full size: milliseconds of the forward
pass, and of forward and backward pass together, of the pair, of ours and of ours compiled by XLA (which does not
compile the pair). The pair's max pooling counts, for it takes the place of the network's own and costs more: what a
plain pooling takes is subtracted. Ways take turns within a repeat, so that other load on the machine meets all alike;
the median over the repeats is shown, and before anything is timed all results are compared bit by bit.

Example:
  python benchmarks/unpooling.py --batch 8 --threads 2
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Side and channels of what unpool5 .. unpool1 give in the published network.
SIZES = ((14, 512), (28, 512), (56, 256), (112, 128), (224, 64))
MILLISECONDS = 1e3
WAYS = ("pair", "ours", "ours, XLA")


def scatter(x: Any, features: Any) -> Any:
    """Unpool by the flat indices that the pooling gives, and a scatter."""
    import tensorflow as tf

    _, places = tf.nn.max_pool_with_argmax(features, 2, 2, "VALID", include_batch_in_index=True)
    size = tf.cast(tf.size(features), tf.int64)[None]
    flat = tf.scatter_nd(tf.reshape(places, (-1, 1)), tf.reshape(x, (-1,)), size)
    return tf.reshape(flat, tf.shape(features))


def passes(unpool: Callable, *, jit: bool) -> tuple[Callable, Callable]:
    """Return compiled functions of (x, features, gradient): the result alone, and with it the gradient of x."""
    import tensorflow as tf

    @tf.function(jit_compile=jit)
    def forward(x: Any, features: Any, gradient: Any) -> tuple:
        del gradient
        return (unpool(x, features),)

    @tf.function(jit_compile=jit)
    def both(x: Any, features: Any, gradient: Any) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(x)
            result = unpool(x, features)
        return result, tape.gradient(result, x, gradient)

    return forward, both


def pooling_seconds(features: Any, repeats: int) -> float:
    """Return the median time of a plain max pooling."""
    import tensorflow as tf

    pool = tf.function(lambda maps: tf.nn.max_pool2d(maps, 2, 2, "VALID"))
    return median_seconds({"pool": lambda: pool(features)}, repeats)["pool"]


def median_seconds(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Return the median time of each call; the calls take turns, and a first turn compiles."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if repeat:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def measure(side: int, channels: int, batch: int, repeats: int) -> list[dict[str, float]]:
    """Measure one size: seconds of every way, forward alone and both passes.

    Raises:
        SystemExit: the ways give different results.
    """
    import numpy as np
    import tensorflow as tf

    from segrepro.models.unpooling import unpool

    random = np.random.default_rng(0)
    large, small = (batch, side, side, channels), (batch, side // 2, side // 2, channels)
    features = tf.nn.relu(tf.constant(random.standard_normal(large, np.float32)))  # ties: half of it is zero
    inputs = (tf.constant(random.standard_normal(small, np.float32)), features)
    inputs += (tf.constant(random.standard_normal(large, np.float32)),)
    compiled = dict(
        zip(WAYS, (passes(scatter, jit=False), passes(unpool, jit=False), passes(unpool, jit=True)), strict=True)
    )
    wanted = [tensor.numpy() for tensor in compiled["pair"][1](*inputs)]
    for way in WAYS[1:]:
        found = compiled[way][1](*inputs)
        if not all(np.array_equal(a, b) for a, b in zip(wanted, found, strict=True)):
            sys.exit(f"{way}: not the pair's result at {large}.")
    results = []
    for number in (0, 1):
        calls = {way: lambda call=compiled[way][number]: call(*inputs) for way in WAYS}
        results.append(median_seconds(calls, repeats))
    pooling = pooling_seconds(features, repeats)
    for result in results:
        result["pair"] -= pooling
    return results


def main() -> None:
    """Measure all sizes and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8, help="pictures (DeconvNet's micro-batch: 8)")
    parser.add_argument("--repeats", type=int, default=7, help="timed calls of each way")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU cores to use (default: all)")
    args = parser.parse_args()
    from segrepro.training.devices import prepare_tensorflow

    prepare_tensorflow(args.threads)
    passes_named = [f"{name}: {way}" for name in ("forward", "forward + backward") for way in WAYS]
    print(f"| result, batch {args.batch} | {' | '.join(passes_named)} |")
    print(f"|---|{'--:|' * len(passes_named)}", flush=True)
    totals = [0.0] * len(passes_named)
    for side, channels in SIZES:
        results = measure(side, channels, args.batch, args.repeats)
        row = [result[way] * MILLISECONDS for result in results for way in WAYS]
        totals = [total + value for total, value in zip(totals, row, strict=True)]
        print(f"| {side} x {side} x {channels} | {' | '.join(f'{value:.1f}' for value in row)} |", flush=True)
    print(f"| all five | {' | '.join(f'{value:.1f}' for value in totals)} |")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
