"""What does a run on real pictures need: arithmetic of each training, memory, and disk?

Nothing is trained or downloaded: the numbers are computed from config.yaml at scale full, or small (--scale small), and
from the networks, which are built one after the other (minutes, 3 GB of memory). Prints three Markdown tables.

1. Disk. Score stores are counted raw (float16 scores at the stored stride, uint8 votes): the files are smaller.
2. Trainings. Operations are those of forward and backward passes, three times the forward pass's, two for a
   multiply-add. Hours follow from --teraflops, what a device sustains (not its peak), and for networks on MobileNetV2,
   whose depthwise convolutions wait for memory, from --mobilenet-teraflops. Memory of weights is four bytes for
   each weight, its gradient and its momentum; that of activations is no part of it.
3. Predictions of networks: operations of forward passes; boxes and views counted.

What stands in for numbers of the datasets that cannot be computed: a picture of VOC has the pixels that 659 real ones
have on average, and files have the mean size of those (of 80 real ones of COCO).

Example:
  python benchmarks/full_run.py --teraflops 10
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

FLOAT = 4  # bytes
COPIES_OF_A_WEIGHT = 3  # weight, gradient, momentum
GB = 1e9

# Converted folders: pictures, and bytes of a picture with its masks (measured means; see the module's docstring).
FOLDERS = {
    "VOC 2012 (with masks only)": (2_913, 93_400 + 2 * 2_900),
    "SBD": (11_355, 90_900 + 2 * 2_000),
    "COCO train2017": (118_287, 163_200 + 3_000 + 0.78 * 2_400),
    "COCO val2017": (5_000, 163_200 + 3_000 + 0.78 * 2_400),
}


def config_of(scale: str) -> Any:
    """Return the experiment at a scale."""
    from snakemake.utils import update_config

    from segrepro.config import parse_config

    merged = yaml.safe_load((ROOT / "config.yaml").read_text()) | {"scale": scale}
    update_config(merged, yaml.safe_load((ROOT / f"workflow/scales/{scale}.yaml").read_text()))
    return parse_config(merged)


class Speed:
    """What a device sustains, 10^12 operations a second."""

    def __init__(self, config: Any, teraflops: float, mobilenet: float) -> None:
        self.config, self.teraflops, self.mobilenet = config, teraflops, mobilenet

    def hours(self, network: str, flop: float) -> float:
        """Return the hours that an amount of a network's operations takes."""
        of_mobilenet = self.config.networks[network].backbone.startswith("mobilenet")
        return flop / ((self.mobilenet if of_mobilenet else self.teraflops) * 1e12) / 3600


class Networks:
    """The networks of the config, each built once for each number of classes; what is asked of them is kept."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self._built: dict[tuple[str, int, int | None], Any] = {}
        self._costs: dict[tuple[str, tuple[int, int], int | None], int] = {}

    def model(self, name: str, classes: int, output_stride: int | None = None) -> Any:
        """Return a network with random weights, at its own output stride or another one."""
        from segrepro.models.build import build_network

        key = (name, classes, output_stride)
        if key not in self._built:
            network = self.config.networks[name]
            if output_stride:
                network = network.model_copy(update={"output_stride": output_stride})
            self._built.clear()  # one at a time: the large ones have a gigabyte of weights
            self._built[key] = build_network(network, classes)
        return self._built[key]

    def multiply_adds(self, name: str, size: tuple[int, int], output_stride: int | None = None) -> int:
        """Return the multiply-adds of a forward pass of one picture of (height, width) with 21 classes."""
        from segrepro.models.operations import multiply_adds

        key = (name, size, output_stride)
        if key not in self._costs:
            self._costs[key] = multiply_adds(self.model(name, 21, output_stride), *size)
        return self._costs[key]


def operations(multiply_adds: float) -> float:
    """Return floating-point operations, two for a multiply-add."""
    return 2 * multiply_adds


def trainings(config: Any, networks: Networks, speed: Speed) -> Iterator[list[str]]:
    """Give a row for each model that trains."""
    from segrepro.models.operations import FORWARD_AND_BACKWARD, PICTURE

    total = disk = time = 0.0
    names = [name for name, model in config.models.items() if model.train]
    for name in sorted(names, key=lambda n: (config.models[n].network, names.index(n))):
        model = config.models[name]
        protocol, classes = config.protocols[model.protocol], 91 if model.dataset.startswith("coco90") else 21
        size = (protocol.crop, protocol.crop) if protocol.crop else PICTURE
        flop = operations(
            FORWARD_AND_BACKWARD
            * networks.multiply_adds(model.network, size)
            * protocol.steps
            * protocol.micro_batch
            * protocol.accumulation
        )
        built = networks.model(model.network, classes)
        weights = built.count_params()
        kept = FLOAT * weights * (1 + 2 * 2)  # model.keras; two checkpoints of weights and momenta
        hours = speed.hours(model.network, flop)
        total, disk, time = total + flop, disk + kept, time + hours
        yield [
            f"`{name}`",
            f"{protocol.steps:,} x {protocol.accumulation * protocol.micro_batch}",
            f"{size[1]} x {size[0]}",
            f"{flop / 1e18:.4f}",
            f"{hours:.1f}",
            f"{COPIES_OF_A_WEIGHT * FLOAT * weights / GB:.1f}",
            f"{kept / GB:.1f}",
        ]
    yield ["all", "", "", f"{total / 1e18:.4f}", f"{time:.1f}", "", f"{disk / GB:.0f}"]


def views_of(config: Any, system: Any) -> Iterator[tuple[tuple[int, int], int | None]]:
    """Give (height, width) and output stride of each forward pass that a picture takes."""
    from segrepro.models.operations import PICTURE

    network = config.networks[config.models[system.model].network]
    if boxes := system.proposal_wise:
        side = (network.input_size, network.input_size)
        yield from [(side, None)] * (boxes.count if boxes.proposals else 1)
        return
    prediction = system.prediction
    picture = tuple(max(extent, prediction.pad_to or 0) for extent in PICTURE)
    for scale in prediction.scales:
        size = tuple(round(extent * scale) for extent in picture)
        yield from [(size, prediction.output_stride)] * (2 if prediction.flip else 1)


def predictions(config: Any, networks: Networks, speed: Speed) -> Iterator[list[str]]:
    """Give a row for each system that a network predicts, over all its splits."""
    from segrepro.plan.disk import pictures_of

    total = time = 0.0
    for name, system in config.systems.items():
        if not system.model:
            continue
        pictures = sum(pictures_of(config, split) for split in system.splits)
        views = list(views_of(config, system))
        network = config.models[system.model].network
        flop = operations(pictures * sum(networks.multiply_adds(network, *view) for view in views))
        hours = speed.hours(network, flop)
        total, time = total + flop, time + hours
        yield [f"`{name}`", f"{pictures:,}", str(len(views)), f"{flop / 1e15:.2f}", f"{hours:.2f}"]
    yield ["all", "", "", f"{total / 1e15:.1f}", f"{time:.1f}"]


def disk(config: Any) -> Iterator[list[str]]:
    """Give a row for each kind of file."""
    from segrepro.plan.disk import PROPOSALS_BYTES, SBD_ARCHIVE, pictures_of, store_bytes

    archives = (getattr(config.archives, name) for name in type(config.archives).model_fields)
    fetched = SBD_ARCHIVE + sum(archive.bytes for archive in archives if archive and archive.bytes)
    yield ["archives: VOC, SBD, COCO", f"{fetched / GB:.1f}"]
    for name, (pictures, size) in FOLDERS.items():
        if name == "COCO train2017" and config.archives.coco2017_train is None:
            continue
        yield [f"converted: {name}, {pictures:,} pictures", f"{pictures * size / GB:.1f}"]
    boxed = sum(pictures_of(config, name) for name in ("trainaug", "voc_val", "seg11valid"))
    yield ["proposals and their cache", f"{2 * boxed * PROPOSALS_BYTES / GB:.1f}"]
    kinds = {"networks": 0.0, "ensembles and stackers": 0.0, "CRFs, at every pixel": 0.0}
    for system in config.systems.values():
        kind = "CRFs, at every pixel" if system.crf else "networks" if system.model else "ensembles and stackers"
        pictures = sum(pictures_of(config, split) for split in system.splits)
        kinds[kind] += pictures * store_bytes(config, system, packed=False)
    for kind, size in kinds.items():
        yield [f"score stores, raw: {kind}", f"{size / GB:.1f}"]


def print_table(head: str, rows: Iterator[list[str]]) -> None:
    """Print a Markdown table, row by row; the first column is text, the others are numbers."""
    columns = head.split(" | ")
    print(f"\n| {head} |\n|---|{'--:|' * (len(columns) - 1)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    """Compute and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teraflops", type=float, default=10.0, help="10^12 operations a second, sustained (10)")
    parser.add_argument("--mobilenet-teraflops", type=float, help="the same for MobileNetV2 (as --teraflops)")
    parser.add_argument("--scale", choices=("small", "full"), default="full", help="of the experiment (full)")
    args = parser.parse_args()
    config = config_of(args.scale)
    speed = Speed(config, args.teraflops, args.mobilenet_teraflops or args.teraflops)
    networks = Networks(config)
    print_table("disk | GB", disk(config))
    memory = "weights, gradients, momenta (GB) | kept on disk (GB)"
    rows = trainings(config, networks, speed)
    print_table(f"model | steps x batch | size | operations (10^18) | hours | {memory}", rows)
    rows = predictions(config, networks, speed)
    print_table("system | pictures | passes a picture | operations (10^15) | hours", rows)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "benchmarks")]
    main()
