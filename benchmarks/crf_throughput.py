"""How many pictures a second does the CRF refine, in one and in two processes, beside a plain pydensecrf loop?

Prints a Markdown table with a row a preset. The loop is what a user would write: scores in memory, one picture after
the other, nothing read or written. `segrepro crf` also decodes the pictures, reads the scores from a store, brings
them to full size, and packs and writes the marginals. Pictures are drawn (coloured blobs and noise), their scores are
blobs of each label at stride 8; sizes are those of a VOC picture. The ways take turns within a round, so that other
load on the machine meets all alike; the median over the rounds is shown. Labels of both are compared.

Example:
  python benchmarks/crf_throughput.py --pictures 16 --processes 1 2
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH, CLASSES, STRIDE = 375, 500, 21, 8


def write_data(folder: Path, count: int) -> list:
    """Write pictures and a score store ``scores.h5``; return the examples."""
    import numpy as np
    from PIL import Image

    from segrepro.stores.manifests import Example
    from segrepro.stores.resize import resize_scores
    from segrepro.stores.scores import ScoreWriter

    examples = []
    header = {"system": "drawn", "label_space": "voc21", "kind": "logits", "resize": "half_pixel"}
    with ScoreWriter(folder / "scores.h5", **header) as store:
        for number in range(count):
            random = np.random.default_rng(number)
            colours = resize_scores(random.uniform(0, 255, (8, 10, 3)), (HEIGHT, WIDTH), "half_pixel")
            picture = np.clip(colours + random.normal(0, 8, colours.shape), 0, 255).astype(np.uint8)
            example = Example(f"p{number:04}", folder / f"p{number:04}.png")
            Image.fromarray(picture).save(example.image)
            blobs = 6 * random.normal(size=(6, 8, CLASSES))
            store.add(
                example.id,
                resize_scores(blobs, (-(-HEIGHT // STRIDE), -(-WIDTH // STRIDE)), "half_pixel"),
                size=(HEIGHT, WIDTH),
            )
            examples.append(example)
    return examples


def plain_loop(pictures: list, probabilities: list, parameters) -> tuple[float, list]:
    """Return the seconds of a plain loop over arrays in memory, and its labels."""
    import numpy as np
    from pydensecrf import densecrf
    from pydensecrf.utils import unary_from_softmax

    from segrepro.fusion.densecrf import NORMALISATIONS

    norm = {"normalization": NORMALISATIONS[parameters.normalisation]}
    labels = []
    started = time.perf_counter()
    for picture, scores in zip(pictures, probabilities, strict=True):
        crf = densecrf.DenseCRF2D(WIDTH, HEIGHT, CLASSES)
        crf.setUnaryEnergy(np.ascontiguousarray(unary_from_softmax(scores.transpose(2, 0, 1))))
        crf.addPairwiseGaussian(sxy=parameters.gaussian_sxy, compat=parameters.gaussian_compat, **norm)
        sizes = {"sxy": parameters.bilateral_sxy, "srgb": parameters.bilateral_srgb}
        crf.addPairwiseBilateral(**sizes, rgbim=picture, compat=parameters.bilateral_compat, **norm)
        labels.append(np.argmax(crf.inference(parameters.iterations), axis=0).reshape(HEIGHT, WIDTH))
    return time.perf_counter() - started, labels


def measure(folder: Path, examples: list, preset: str, processes: list[int], rounds: int) -> list[float]:
    """Return pictures a second: of the plain loop, and of the verb with each number of processes.

    Raises:
        SystemExit: the labels differ in more than float16 explains.
    """
    from segrepro.data.pictures import read_rgb
    from segrepro.fusion.crf_store import StoreCRF, refine_store
    from segrepro.fusion.densecrf import PRESETS
    from segrepro.stores.scores import ScoreReader

    with ScoreReader(folder / "scores.h5") as reader:
        probabilities = [reader.probabilities(example.id) for example in examples]
    pictures = [read_rgb(example.image) for example in examples]
    crf = StoreCRF(folder / "scores.h5", "voc21", PRESETS[preset], "refined")
    seconds: list[list[float]] = [[] for _ in (0, *processes)]
    for _ in range(rounds):
        loop, expected = plain_loop(pictures, probabilities, PRESETS[preset])
        seconds[0].append(loop)
        for times, threads in zip(seconds[1:], processes, strict=True):
            started = time.perf_counter()
            refine_store(crf, examples, folder / "out.h5", threads=threads)
            times.append(time.perf_counter() - started)
        with ScoreReader(folder / "out.h5") as reader:
            for example, labels in zip(examples, expected, strict=True):
                if (reader.labels(example.id) != labels).mean() > 1e-3:
                    sys.exit(f"{preset}: other labels than the plain loop's in {example.id}.")
    return [len(examples) / statistics.median(times) for times in seconds]


def main() -> None:
    """Measure the presets and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--presets", nargs="+", default=["pydensecrf_example", "deeplab_vgg"])
    args = parser.parse_args()
    columns = ["plain loop", *(f"{count} process{'es' * (count > 1)}" for count in args.processes)]
    print(f"| pictures a second, {WIDTH} x {HEIGHT}, {CLASSES} classes | {' | '.join(columns)} |")
    print(f"|---|{'--:|' * len(columns)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        examples = write_data(Path(folder), args.pictures)
        for preset in args.presets:
            rates = measure(Path(folder), examples, preset, args.processes, args.rounds)
            print(f"| {preset} | {' | '.join(f'{rate:.2f}' for rate in rates)} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(ROOT / "workflow"))
    main()
