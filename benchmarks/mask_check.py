"""How long does a training read its masks before it starts?

Masks and pictures as large as VOC's (500 x 375, six round objects with void borders), each file read once; the time is
projected to the 10,582 of trainaug and the 118,287 of COCO's train2017.

Example:
  python benchmarks/mask_check.py --pictures 600 --threads 1
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from segrepro.data.masks import write_mask
from segrepro.labels import VOC21, VOID
from segrepro.stores.manifests import Example
from segrepro.training.mask_check import check_masks

SETS = {"trainaug": 10_582, "train2017": 118_287}


def write_pictures(folder: Path, count: int) -> list[Example]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:375, :500]
    picture = folder / "picture.jpg"
    Image.fromarray(rng.integers(0, 256, (375, 500, 3), dtype=np.uint8)).save(picture)
    examples = []
    for number in range(count):
        mask = np.zeros((375, 500), np.uint8)
        for _ in range(6):
            distance = np.hypot(rows - rng.integers(375), columns - rng.integers(500))
            radius = rng.integers(20, 120)
            mask[distance < radius + 3] = VOID
            mask[distance < radius] = rng.integers(1, len(VOC21))
        image = folder / f"{number}.jpg"
        image.hardlink_to(picture)
        write_mask(folder / f"{number}.png", mask)
        examples.append(Example(str(number), image, folder / f"{number}.png"))
    return examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=600, help="how many to read (default 600)")
    parser.add_argument("--threads", type=int, default=1, help="how many at once (default 1)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        examples = write_pictures(Path(folder), args.pictures)
        wall, cpu = time.perf_counter(), time.process_time()
        check_masks(examples, VOC21.name, threads=args.threads)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    for name, count in SETS.items():
        share = count / args.pictures
        print(f"{name}: {count:,} masks, {wall * share:.0f} s, {cpu * share:.0f} s of processors")


if __name__ == "__main__":
    main()
