"""Whether the disk has room for what a run is to write, told before the first job: an estimate from its jobs.

Sizes per picture are means of 659 pictures of VOC, of 80 of COCO, and of the generated sample. Not counted are what
takes little (manifests, tables, figures, logs), and files of unknown size, which a fetch asks its server for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from segrepro.config import Config
from segrepro.config.places import expanded
from segrepro.config.systems import System
from segrepro.data.datasets import DATASETS, FOLDERS
from segrepro.errors import UserError
from segrepro.labels import LABEL_SPACES
from segrepro.plan.experiment import Plan
from segrepro.plan.fetching import download, fetched

GB = 1e9
FLOAT, HALF = 4, 2  # bytes
PICTURE_PIXELS, SAMPLE_PIXELS = 180_726, 18_128

# Pictures of datasets that the config does not count, and the dataset that has no fewer.
UNCOUNTED = {
    "seg11valid": (736, "voc_val"),
    "sbd_train": (8_498, "trainaug"),
    "coco20": (60_000, "coco90"),
    "coco20_val": (2_500, "coco90_val"),
}
SBD_ARCHIVE = 1.4e9  # bytes, about; the config has no size of it
# Bytes of a converted folder for each byte of the archive of its pictures, of which VOC's has many without masks.
CONVERTED = {"voc2012": 0.15, "voc2012_test": 0.15, "sbd": 0.8, "coco_train": 1.05, "coco_val": 1.05}
PROPOSALS_BYTES = 14_000  # of the boxes of a picture, once in the cache and once in the file of a dataset
# What HDF5's compression leaves of scores, of labels (segrepro.stores.scores), and of a CRF's marginals at every pixel,
# most of which are sure (segrepro.fusion.crf_store).
PACKED, PACKED_LABELS, PACKED_MARGINALS = 0.88, 1 / 22, 1 / 8
COPIES_OF_A_WEIGHT = 1 + 2 * 2  # model.keras; two checkpoints of weights and momenta
# Parameters of networks with a head for VOC (docs/cost.md), by the backbone; VGG16's without fully connected layers.
PARAMETERS = {"vgg16": 14.7e6, "resnet_v2_101": 58.2e6, "resnet_v1_101": 58.2e6, "xception_65": 41.3e6}
PARAMETERS |= {"resnet_v2_152": 74e6, "resnet_v1_152": 74e6, "resnet_v2_50": 39.2e6, "resnet_v1_50": 39.2e6}
PARAMETERS |= {"mobilenet_v2": 6e6}
PARAMETERS_OF_OTHERS = 0.5e6  # the sample's
VGG_CHANNELS = 512


class Written(NamedTuple):
    """What one job is to write."""

    kind: str
    bytes: float


def pictures_of(config: Config, split: str) -> int:
    """Return about how many pictures a dataset, or a part of one, has; 0 where nothing says it."""
    held = config.held.get(split)
    if held and held.pictures:
        return held.pictures
    dataset = config.dataset_of(split)
    counted = config.datasets[dataset].pictures if dataset in config.datasets else None
    if isinstance(counted, int):
        return counted
    about, of = UNCOUNTED.get(dataset, (0, dataset))
    return min(about, pictures_of(config, of)) if about else 0


def stored_stride(config: Config, system: System) -> int:
    """Return the pixels between the scores that a system's store keeps."""
    for section in (system.proposal_wise, system.fusion, system.stacking, system.crf):
        if section:
            return section.storage_stride
    prediction, network = system.prediction, config.networks[config.models[system.model].network]
    if not prediction.is_plain and prediction.average_at == "picture":
        return prediction.storage_stride or 4
    if network.architecture == "deeplabv3plus" or not hasattr(network, "output_stride"):
        return 4
    return prediction.output_stride or network.output_stride


def store_bytes(config: Config, system: System, *, packed: bool = True) -> float:
    """Return the bytes of a system's score store for one picture, as it is on disk or raw."""
    pixels = SAMPLE_PIXELS if config.scale == "sample" else PICTURE_PIXELS
    if system.stores_labels:
        return pixels * (PACKED_LABELS if packed else 1)
    of_model = DATASETS.get(config.models[system.model].dataset) if system.model else None
    classes = len(LABEL_SPACES[(of_model and of_model.label_space) or "voc21"])
    raw = HALF * classes * pixels / stored_stride(config, system) ** 2
    share = PACKED_MARGINALS if system.crf and system.crf.storage_stride == 1 else PACKED
    return raw * (share if packed else 1)


def model_bytes(config: Config, name: str) -> float:
    """Return about the bytes of a training: the model and its checkpoints."""
    network = config.networks[config.models[name].network]
    parameters = PARAMETERS.get(network.backbone, PARAMETERS_OF_OTHERS)
    if network.backbone.startswith("mobilenet"):
        parameters *= max(network.width, network.width**2)
    if network.backbone == "vgg16":
        fc = network.fc_channels
        side = getattr(network, "fc6_kernel", 7)
        layers = side**2 * VGG_CHANNELS * fc
        parameters += layers + fc**2
        if network.architecture == "deconvnet":  # the same again, mirrored
            parameters += layers + PARAMETERS["vgg16"]
    return FLOAT * parameters * (COPIES_OF_A_WEIGHT if config.models[name].train else 1)


def archive_bytes(plan: Plan, file: str) -> float:
    """Return the size of a file to fetch: of the one that is here, else of the one to come; 0 where it is unknown."""
    entry = fetched(plan)[file]
    here = [Path(download(plan, entry))]
    if plan.config.archives_dir:
        here.append(Path(expanded(plan.config.archives_dir), file))
    local = (expanded(url) for url in entry.urls if url.startswith("file:"))
    here += [Path(url.removeprefix("file://").removeprefix("file:")) for url in local]
    sizes = [path.stat().st_size for path in here if path.is_file()]
    of_sbd = entry == plan.config.archives.sbd and not entry.generated
    return next(iter(sizes), entry.bytes or (SBD_ARCHIVE if of_sbd else 0))


def written(plan: Plan, rule: str, wildcards: Mapping[str, str]) -> Written | None:
    """Return what a job is to write; None for a job that writes little."""
    config = plan.config
    if rule == "fetch":
        file = wildcards["archive"]
        linked = config.archives_dir and Path(expanded(config.archives_dir), file).is_file()
        return None if linked else Written("archives and weights", archive_bytes(plan, file))
    if rule == "convert":
        key = next(key for key, folder in FOLDERS.items() if folder.path == wildcards["folder"])
        archive = getattr(config.archives, FOLDERS[key].archives[0])
        return Written("converted pictures", CONVERTED.get(key, 1) * archive_bytes(plan, archive.file))
    if rule == "proposals":
        return Written("proposals", 2 * PROPOSALS_BYTES * pictures_of(config, wildcards["dataset"]))
    if rule in ("train", "import_weights"):
        return Written("models", model_bytes(config, wildcards["model"]))
    if rule in ("predict", "predict_shard", "fuse", "stack", "crf", "crf_shard"):
        pictures = pictures_of(config, wildcards["split"])
        shards = int(wildcards["scatteritem"].rpartition("-")[2]) if rule.endswith("shard") else 1
        return Written("score stores", store_bytes(config, config.systems[wildcards["system"]]) * pictures / shards)
    return None


def check_room(
    plan: Plan,
    jobs: Iterable[tuple[str, Mapping[str, str], Iterable[str]]],
    *,
    free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> None:
    """Refuse a run for which a disk has too little room.

    Args:
        plan: the plan.
        jobs: those that are to run: the rule, the wildcards and the outputs of each. What stands of the outputs will be
            replaced, so that only what is missing counts.
        free: tells the free bytes of the disk that a folder is on.

    Raises:
        UserError: naming a folder on the disk, what is to be written there, and what is free.
    """
    needs: dict[int, dict[str, float]] = {}
    folders: dict[int, Path] = {}
    for rule, wildcards, outputs in jobs:
        if not (to_write := written(plan, rule, wildcards)):
            continue
        paths = [Path(output) for output in outputs]
        missing = to_write.bytes - sum(_bytes_of(path) for path in paths)
        folder = next(parent for parent in paths[0].absolute().parents if parent.exists())
        disk = folder.stat().st_dev
        folders.setdefault(disk, folder)
        kinds = needs.setdefault(disk, {})
        kinds[to_write.kind] = kinds.get(to_write.kind, 0) + max(missing, 0)
    for disk, kinds in needs.items():
        total, available = sum(kinds.values()), free(folders[disk])
        if total > available:
            parts = ", ".join(f"{kind} {size / GB:.2f}" for kind, size in kinds.items() if size > 0.005 * GB)
            raise UserError(
                f"{folders[disk]}: this run is to write about {total / GB:.2f} GB there ({parts}), but "
                f"{available / GB:.2f} GB are free; make room or take a folder on a larger disk, or set "
                "runtime.check_room to false if this estimate is wrong."
            )


def _bytes_of(path: Path) -> int:
    """Return the bytes of a file, of a folder's files, and of what has arrived of a download."""
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    partial = path.with_name(f"{path.name}.partial")
    return next((each.stat().st_size for each in (path, partial) if each.is_file()), 0)
