"""Tiny archives in the official layouts, built from arrays: what the tests of readers and checks start from.

Every function takes pictures and masks as dictionaries id -> array; `leave_out` and `replace` make the faulty
archives: names of members that are not written, and members whose bytes are others.
"""

import io
import json
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from segrepro.labels import COCO_CATEGORIES, VOC_CLASSES, VOID, voc_palette

VOC_ROOT = "VOCdevkit/VOC2012"
SBD_ROOT = "benchmark_RELEASE/dataset"


def picture(seed: int = 0, height: int = 24, width: int = 32) -> np.ndarray:
    """An RGB picture (uint8) that JPEG keeps small."""
    random = np.random.default_rng(seed)
    return np.repeat(np.repeat(random.integers(0, 256, (height // 8, width // 8, 3), np.uint8), 8, 0), 8, 1)


def scene(*labels: int, height: int = 24, width: int = 32, void: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A mask and its instance mask: one square an object from left to right, with a void ring unless told."""
    mask, instances = np.zeros((2, height, width), np.uint8)
    step = width // max(1, len(labels))
    for number, label in enumerate(labels, start=1):
        rows, columns = slice(4, height - 4), slice((number - 1) * step + 1, number * step - 1)
        if void:
            mask[rows, columns] = instances[rows, columns] = VOID
            rows, columns = slice(5, height - 5), slice(columns.start + 1, columns.stop - 1)
        mask[rows, columns], instances[rows, columns] = label, number
    return mask, instances


def jpeg_bytes(rgb: np.ndarray) -> bytes:
    return _encoded(Image.fromarray(rgb), "JPEG", quality=90)


def png_bytes(mask: np.ndarray, *, mode: str = "P") -> bytes:
    """A mask as PNG: ``P`` with VOC's palette, ``L`` grey, ``RGB`` VOC's colours (which is no mask)."""
    if mode == "RGB":
        return _encoded(Image.fromarray(voc_palette()[mask]), "PNG")
    grey = Image.fromarray(mask)
    if mode == "P":
        grey.putpalette(voc_palette().tobytes())
    return _encoded(grey, "PNG")


ADAM7 = ((0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1))


def grey_png(values: np.ndarray, *, bits: int = 8, interlaced: bool = False) -> bytes:
    """A grey PNG as Pillow writes none: of 1, 2 or 4 bits a pixel, or in the seven passes of Adam7."""
    passes = [values[y::dy, x::dx] for y, dy, x, dx in ADAM7] if interlaced else [values]
    rows = [np.unpackbits(row[:, np.newaxis], axis=1)[:, 8 - bits :] for part in passes if part.size for row in part]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, interlaced)
    data = zlib.compress(b"".join(b"\0" + np.packbits(row).tobytes() for row in rows))
    png = b"\x89PNG\r\n\x1a\n"
    for name, content in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
        png += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return png


def voc_xml(mask: np.ndarray) -> bytes:
    objects = "".join(
        f"<object><name>{VOC_CLASSES[label]}</name><bndbox><xmin>1</xmin></bndbox></object>"
        for label in np.unique(mask)
        if 0 < label < len(VOC_CLASSES)
    )
    return f"<annotation><folder>VOC2012</folder>{objects}</annotation>".encode()


def write_voc_tar(
    path: Path,
    pictures: dict[str, np.ndarray],
    scenes: dict[str, tuple[np.ndarray, np.ndarray]],
    lists: dict[str, list[str]],
    *,
    leave_out: tuple[str, ...] = (),
    replace: dict[str, bytes] | None = None,
) -> Path:
    """VOCtrainval or, without scenes, VOC2012test; members of `leave_out` and `replace` are named below VOC2012/."""
    members = {f"ImageSets/Segmentation/{name}.txt": _lines(ids) for name, ids in lists.items()}
    for key, rgb in pictures.items():
        members[f"JPEGImages/{key}.jpg"] = jpeg_bytes(rgb)
    for key, (mask, instances) in scenes.items():
        members[f"SegmentationClass/{key}.png"] = png_bytes(mask)
        members[f"SegmentationObject/{key}.png"] = png_bytes(instances)
        members[f"Annotations/{key}.xml"] = voc_xml(mask)
    members |= replace or {}
    return _write_tar(path, VOC_ROOT, members, leave_out, "w")


def mat_bytes(variable: str, **fields: np.ndarray) -> bytes:
    stream = io.BytesIO()
    savemat(stream, {variable: fields}, do_compression=True)
    return stream.getvalue()


def write_sbd_tgz(
    path: Path,
    pictures: dict[str, np.ndarray],
    scenes: dict[str, tuple[np.ndarray, np.ndarray]],
    lists: dict[str, list[str]],
    *,
    leave_out: tuple[str, ...] = (),
    replace: dict[str, bytes] | None = None,
) -> Path:
    """SBD's benchmark.tgz; scenes as from `scene` without void; members are named below dataset/."""
    members = {f"{name}.txt": _lines(ids) for name, ids in lists.items()}
    for key, rgb in pictures.items():
        members[f"img/{key}.jpg"] = jpeg_bytes(rgb)
    for key, (mask, instances) in scenes.items():
        categories = np.array(
            [[mask[instances == number][0]] for number in range(1, instances.max() + 1)], np.uint8
        ).reshape(-1, 1)
        members[f"cls/{key}.mat"] = mat_bytes("GTcls", Segmentation=mask, CategoriesPresent=categories)
        members[f"inst/{key}.mat"] = mat_bytes("GTinst", Segmentation=instances, Categories=categories)
    members |= replace or {}
    return _write_tar(path, SBD_ROOT, members, leave_out, "w:gz")


def coco_annotation(number: int, picture_id: int, category: int, segmentation: object, crowd: int = 0) -> dict:
    """An entry of the JSON's ``annotations`` with the official keys."""
    return {
        "id": number,
        "image_id": picture_id,
        "category_id": category,
        "segmentation": segmentation,
        "iscrowd": crowd,
        "area": 1.0,
        "bbox": [0, 0, 1, 1],
    }


def rectangle(left: int, top: int, right: int, bottom: int) -> list[float]:
    """The polygon of the pixels left..right-1, top..bottom-1."""
    return [float(value) for value in (left, top, right, top, right, bottom, left, bottom)]


def run_lengths(mask: np.ndarray) -> dict:
    """The uncompressed RLE of a bool mask, in column order, as COCO's crowds are."""
    flat = np.concatenate([[0], mask.ravel(order="F").astype(np.uint8), [2]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff(np.concatenate([[0], ends])).tolist()
    return {"counts": lengths, "size": list(mask.shape)}


def coco_json(pictures: dict[int, np.ndarray], annotations: list[dict]) -> dict:
    """An instances JSON with the official keys and all 80 categories."""
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 1, "name": "none", "url": ""}],
        "images": [
            {
                "id": key,
                "file_name": f"{key:012}.jpg",
                "height": rgb.shape[0],
                "width": rgb.shape[1],
                "license": 1,
            }
            for key, rgb in pictures.items()
        ],
        "annotations": annotations,
        "categories": [{"id": key, "name": name, "supercategory": "thing"} for key, name in COCO_CATEGORIES.items()],
    }


def write_coco_zips(
    folder: Path,
    pictures: dict[int, np.ndarray],
    annotations: list[dict] | dict | bytes,
    *,
    split: str = "train2017",
    leave_out: tuple[int, ...] = (),
    replace: dict[int, bytes] | None = None,
) -> tuple[Path, Path]:
    """The pictures' and the annotations' zip; `annotations` may be the whole JSON or its bytes instead."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures_zip, annotations_zip = folder / f"{split}.zip", folder / "annotations_trainval2017.zip"
    with zipfile.ZipFile(pictures_zip, "w") as archive:
        for key, rgb in pictures.items():
            if key not in leave_out:
                archive.writestr(f"{split}/{key:012}.jpg", (replace or {}).get(key) or jpeg_bytes(rgb))
    if isinstance(annotations, list):
        annotations = coco_json(pictures, annotations)
    if isinstance(annotations, dict):
        annotations = json.dumps(annotations).encode()
    with zipfile.ZipFile(annotations_zip, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"annotations/instances_{split}.json", annotations)
    return pictures_zip, annotations_zip


def _encoded(picture: Image.Image, kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return stream.getvalue()


def _lines(ids: list[str]) -> bytes:
    return "".join(f"{key}\n" for key in ids).encode()


def _write_tar(path: Path, root: str, members: dict[str, bytes], leave_out: tuple[str, ...], mode: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            if name not in leave_out:
                info = tarfile.TarInfo(f"{root}/{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path
