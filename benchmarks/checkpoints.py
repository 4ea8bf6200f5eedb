"""How long does a checkpoint take to be written and to be read?

The variables are random and as large as asked for: FCN's weights and momenta are 1.07 GB, DeconvNet's 2.0 GB. Each
checkpoint is on the disk (fsync) when the time is taken. Beside the clock's seconds stand those that a core worked,
which other programs on the machine do not lengthen.

Example:
  python benchmarks/checkpoints.py --gigabytes 1.07 --folder results
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

VARIABLE = 4 << 20  # numbers in one: as a convolution of 3 x 3 x 512 x 512 has, about


def main() -> None:
    """Write, read, and print a line for each."""
    from segrepro.training.checkpoints import Checkpoint, load_newest, save

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.07, help="of the variables (default 1.07)")
    parser.add_argument("--folder", type=Path, default=Path(), help="on the disk to be measured (default: here)")
    parser.add_argument("--repeats", type=int, default=3, help="checkpoints to write (default 3)")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    count = max(1, round(args.gigabytes * 1e9 / (4 * VARIABLE)))
    variables = [random.random(VARIABLE, np.float32) for _ in range(count)]

    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for step in range(1, args.repeats + 1):
            started, worked = time.perf_counter(), time.process_time()
            save(Path(folder), Checkpoint(step, variables, np.zeros((0, 4)), np.zeros(4), np.zeros(0)))
            seconds, worked = time.perf_counter() - started, time.process_time() - worked
            print(f"{args.gigabytes:g} GB written in {seconds:.1f} s, {worked:.1f} s of a core", flush=True)
        started, worked = time.perf_counter(), time.process_time()
        load_newest(Path(folder), [(VARIABLE,)] * count)
        seconds, worked = time.perf_counter() - started, time.process_time() - worked
        print(f"read in {seconds:.1f} s, {worked:.1f} s of a core")


if __name__ == "__main__":
    main()
