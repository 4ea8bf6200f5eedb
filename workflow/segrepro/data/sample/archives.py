"""The sample as archives with the official names, inner layouts and file formats of VOC 2012, SBD and COCO 2017.

Everything is deterministic: members sorted, owners and times fixed, no timestamp in gzip, zip or .mat headers.
"""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from segrepro.config.data import SampleData
from segrepro.data.sample.annotations import (
    coco_instances,
    jpeg_bytes,
    palette_png_bytes,
    sbd_mat_bytes,
    voc_xml,
    void_ring,
)
from segrepro.data.sample.plan import draw_plans, plan_source
from segrepro.data.sample.scenes import Scene
from segrepro.errors import UserError
from segrepro.files import atomic_path, file_digest, write_text
from segrepro.labels import VOC_CLASSES

VOC_TRAINVAL = "VOCtrainval_11-May-2012.tar"
VOC_TEST = "VOC2012test.tar"
SBD = "benchmark.tgz"
COCO_TRAIN, COCO_VAL, COCO_ANNOTATIONS = "train2017.zip", "val2017.zip", "annotations_trainval2017.zip"
ARCHIVES = (VOC_TRAINVAL, VOC_TEST, SBD, COCO_TRAIN, COCO_VAL, COCO_ANNOTATIONS)

MEMBER_TIME = 1_336_694_400  # 2012-05-11 00:00 UTC, the date in the VOC archive's name
ZIP_DATE = (2017, 9, 1, 0, 0, 0)

# Where the SBD ids come from, as in the real lists: SBD train holds about half of VOC val, and three quarters of
# the new pictures; some VOC ids are in no SBD list, so that seg11valid and trainaug differ from their parents.
SBD_SHARES = {"voc_train": (0.5, 0.25), "voc_val": (0.35, 0.35), "sbd_extra": (0.75, 0.25)}  # of source: train, val

Drawn = dict[str, Scene]


def draw_sample(sample: SampleData, threads: int) -> dict[str, Drawn]:
    """Draw every picture of the sample: for each source that the section counts, its scenes by picture id, sorted."""
    counts = sample.counts
    plans = [plan for source, count in counts.items() for plan in plan_source(source, count, sample.seed)]
    scenes = iter(draw_plans(plans, sample.seed, threads))
    return {source: dict(zip(ids, scenes, strict=False)) for source, ids in _ids(counts, sample.seed).items()}


def _ids(counts: dict[str, int], seed: int) -> dict[str, list[str]]:
    """Give each picture an id in the official style; those of VOC and SBD are interleaved as in the real sets."""
    pascal = [source for source in counts if not source.startswith("coco")]
    total = sum(counts[source] for source in pascal)
    names = [f"{2007 + 5 * i // total}_{33 + 29 * i:06d}" for i in range(total)]
    order = iter(np.random.default_rng([seed, len(pascal)]).permutation(total))
    ids = {source: sorted(names[next(order)] for _ in range(counts[source])) for source in pascal}
    return ids | {
        source: [f"{first + 47 * i:012d}" for i in range(counts[source])]
        for source, first in (("coco_train", 9), ("coco_val", 139))
    }


def sbd_lists(drawn: dict[str, Drawn]) -> tuple[list[str], list[str]]:
    """Return the ids of SBD's train.txt and val.txt, sorted; they share no id."""
    train, val = [], []
    for source, (train_share, val_share) in SBD_SHARES.items():
        ids = sorted(drawn[source])
        first, last = round(train_share * len(ids)), round((train_share + val_share) * len(ids))
        mixed = [ids[i] for i in np.random.default_rng(len(ids)).permutation(len(ids))]
        train += mixed[:first]
        val += mixed[first:last]
    return sorted(train), sorted(val)


def refuse_other_archives(folder: Path) -> None:
    """Refuse a folder that has archives of the same names and no ``SHA256SUMS``: they may be the official ones."""
    there = [name for name in sorted(ARCHIVES) if (folder / name).exists()]
    if there and not (folder / "SHA256SUMS").exists():
        raise UserError(f"{folder / there[0]}: is there already and would be replaced; name another folder.")


def write_archives(folder: Path, drawn: dict[str, Drawn]) -> None:
    """Write the six archives and their ``SHA256SUMS`` to ``folder``."""
    _write_tar(folder / VOC_TRAINVAL, _voc_trainval(drawn))
    _write_tar(folder / VOC_TEST, _voc_test(drawn))
    _write_tar(folder / SBD, _sbd(drawn))
    annotations = {}
    for split, name in (("train", COCO_TRAIN), ("val", COCO_VAL)):
        scenes = drawn[f"coco_{split}"]
        members = {f"{split}2017/{i}.jpg": jpeg_bytes(scene.image) for i, scene in scenes.items()}
        _write_zip(folder / name, members)
        first_id = 1 if split == "train" else 1_000_001
        annotations[f"annotations/instances_{split}2017.json"] = coco_instances(scenes, split, first_id)
    _write_zip(folder / COCO_ANNOTATIONS, annotations)
    sums = "".join(f"{file_digest(folder / name)}  {name}\n" for name in sorted(ARCHIVES))
    write_text(folder / "SHA256SUMS", sums)


def class_mask(scene: Scene, instances: np.ndarray) -> np.ndarray:
    """Return the VOC labels (uint8) of an instance map of ``scene``; 255 stays 255."""
    table = np.zeros(256, np.uint8)
    table[255] = 255
    table[1 : len(scene.names) + 1] = [VOC_CLASSES.index(name) for name in scene.names]
    return table[instances]


def _voc_trainval(drawn: dict[str, Drawn]) -> dict[str, bytes]:
    root = "VOCdevkit/VOC2012"
    members = {}
    for source in ("voc_train", "voc_val", "sbd_extra"):
        segmented = source != "sbd_extra"
        for i, scene in drawn[source].items():
            members[f"{root}/JPEGImages/{i}.jpg"] = jpeg_bytes(scene.image)
            members[f"{root}/Annotations/{i}.xml"] = voc_xml(i, scene, segmented=segmented)
            if segmented:
                ringed = np.where(void_ring(scene.instances), np.uint8(255), scene.instances)
                members[f"{root}/SegmentationClass/{i}.png"] = palette_png_bytes(class_mask(scene, ringed))
                members[f"{root}/SegmentationObject/{i}.png"] = palette_png_bytes(ringed)
    lists = {"train": drawn["voc_train"], "val": drawn["voc_val"]}
    lists["trainval"] = lists["train"] | lists["val"]
    for split, ids in lists.items():
        members[f"{root}/ImageSets/Segmentation/{split}.txt"] = _lines(list(ids))
    return members


def _voc_test(drawn: dict[str, Drawn]) -> dict[str, bytes]:
    root = "VOCdevkit/VOC2012"
    members = {f"{root}/JPEGImages/{i}.jpg": jpeg_bytes(s.image) for i, s in drawn["voc_test"].items()}
    members[f"{root}/ImageSets/Segmentation/test.txt"] = _lines(list(drawn["voc_test"]))
    return members


def _sbd(drawn: dict[str, Drawn]) -> dict[str, bytes]:
    root = "benchmark_RELEASE/dataset"
    scenes = drawn["voc_train"] | drawn["voc_val"] | drawn["sbd_extra"]
    train, val = sbd_lists(drawn)
    members = {f"{root}/train.txt": _lines(train), f"{root}/val.txt": _lines(val)}
    for i in train + val:
        labels = [VOC_CLASSES.index(name) for name in scenes[i].names]
        members[f"{root}/img/{i}.jpg"] = jpeg_bytes(scenes[i].image)
        members[f"{root}/cls/{i}.mat"], members[f"{root}/inst/{i}.mat"] = sbd_mat_bytes(scenes[i].instances, labels)
    return members


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{i}\n" for i in sorted(ids)).encode()


def _write_tar(path: Path, members: dict[str, bytes]) -> None:
    """Write a plain or (by the name's .tgz) gzipped tar with fixed owners, modes and times."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(members):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = len(members[name]), MEMBER_TIME, 0o644
            archive.addfile(member, io.BytesIO(members[name]))
    data = stream.getvalue()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(data, 6, mtime=0) if path.suffix == ".tgz" else data)


def _write_zip(path: Path, members: dict[str, bytes]) -> None:
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, ZIP_DATE)
            member.external_attr = 0o644 << 16
            method = zipfile.ZIP_STORED if name.endswith(".jpg") else zipfile.ZIP_DEFLATED
            archive.writestr(member, members[name], method)
