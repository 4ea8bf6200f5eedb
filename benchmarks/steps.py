"""What does a training step spend outside of its compiled functions?

Trains a network of the sample on the same random crops again and again, and takes the time of each step and of the
compiled functions in it. The rest is what Python does between them: slices of the batch, sums, the learning rate, the
progress bar. Nothing is read from disk, no checkpoint is written. The medians are printed, in milliseconds: by the
clock, and as what the Python thread computes, which other programs on the machine do not lengthen.

On a CPU the functions have done their work when they return. On a GPU they return when it is queued: what Python then
does costs nothing as long as it does not wait for the device.

Example:
  python benchmarks/steps.py --accumulation 4 --threads 1
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 5  # steps


class Timed:
    """A function whose calls are summed up."""

    def __init__(self, function: Callable):
        self.function, self.seconds, self.computed = function, 0.0, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call the function."""
        started, busy = time.perf_counter(), time.thread_time()
        try:
            return self.function(*arguments)
        finally:
            self.seconds += time.perf_counter() - started
            self.computed += time.thread_time() - busy


def sample_training(accumulation: int, steps: int) -> tuple[Any, Any, str]:
    """Return the sample's DeepLabv3, its protocol with other steps and accumulation, and how it resizes."""
    from snakemake.utils import update_config

    from segrepro.config import parse_config
    from segrepro.models.build import build_network

    merged = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"scale": "sample"}
    update_config(merged, yaml.safe_load((ROOT / "workflow/scales/sample.yaml").read_text()))
    config = parse_config(merged)
    network = config.networks["deeplabv3_r101"]
    changes = {"accumulation": accumulation, "steps": steps, "log_every": 100}
    protocol = config.protocols["deeplabv3_report"].model_copy(update=changes)
    return build_network(network, 21), protocol, network.resize


def measure(accumulation: int, steps: int) -> tuple[float, float, float]:
    """Return median milliseconds: of a step, of what lies outside of the functions, and what of that is computed."""
    import tensorflow as tf

    from segrepro.training.trainer import Trainer

    model, protocol, resize = sample_training(accumulation, steps)
    shape = (accumulation, protocol.micro_batch, protocol.crop, protocol.crop)
    random = np.random.default_rng(0)
    pictures = tf.constant(random.integers(0, 256, (*shape, 3)), tf.float32)
    labels = tf.constant(random.integers(0, 21, shape), tf.uint8)
    marks: list[tuple[float, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model,
            protocol,
            resize=resize,
            strategy=tf.distribute.get_strategy(),
            checkpoint_folder=Path(folder),
            checkpoint_minutes=1e9,
        )
        timed = [Timed(getattr(trainer.steps, part.name)) for part in fields(trainer.steps)]
        trainer.steps = type(trainer.steps)(*timed)

        def batches() -> Any:
            for _ in range(steps):
                clocks = sum(function.seconds for function in timed), sum(function.computed for function in timed)
                marks.append((time.perf_counter(), time.thread_time(), *clocks))
                yield pictures, labels

        trainer.run(batches())
    wall, busy, inside, busy_inside = np.diff(np.array(marks[WARM_UP:]), axis=0).T * 1e3
    return float(np.median(wall)), float(np.median(wall - inside)), float(np.median(busy - busy_inside))


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accumulation", type=int, default=1, help="micro-batches a step (default 1)")
    parser.add_argument("--steps", type=int, default=60, help="to measure, after some to warm up (default 60)")
    parser.add_argument("--threads", type=int, default=1, help="CPU cores to use (default 1)")
    args = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(args.threads)
    step, outside, computed = measure(args.accumulation, args.steps + WARM_UP + 1)
    print(
        f"accumulation {args.accumulation}: a step {step:.1f} ms, of which outside of the functions {outside:.2f} ms "
        f"({computed:.2f} ms computed)"
    )


if __name__ == "__main__":
    main()
