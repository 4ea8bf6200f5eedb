"""Scenes in the annotation formats of the three datasets: VOC's PNG and XML, SBD's .mat, COCO's JSON."""

import io
import json

import cv2
import numpy as np

from segrepro.data.masks import write_palette_mask
from segrepro.data.sample.scenes import Scene
from segrepro.labels import COCO_CATEGORIES, COCO_IDS_IN_VOC_ORDER, VOC_CLASSES

JPEG_QUALITY = 92
MAT_HEADER_BYTES = 116  # the descriptive text of a MATLAB 5 file; scipy writes the time of day there
MAT_HEADER = b"MATLAB 5.0 MAT-file, Platform: segrepro sample"
COCO_OVERLAP = np.ones((3, 3), np.uint8)  # polygons reach a pixel over the visible edge: neighbours overlap, as in COCO
MIN_POLYGON_POINTS = 3
SBD_COARSENESS = 1.9  # pixels that an SBD outline may cut off; more than VOC's void ring forgives

# The official COCO category id of each VOC class and of each COCO category.
CATEGORY_IDS = {name: i for i, name in COCO_CATEGORIES.items()} | dict(
    zip(VOC_CLASSES, COCO_IDS_IN_VOC_ORDER, strict=True)
)
# The official supercategories: the first category id of each, in order.
_SUPERCATEGORY_STARTS = {
    **{1: "person", 2: "vehicle", 10: "outdoor", 16: "animal", 27: "accessory", 34: "sports", 44: "kitchen"},
    **{52: "food", 62: "furniture", 72: "electronic", 77: "electronic", 78: "appliance", 84: "indoor"},
}


def jpeg_bytes(image: np.ndarray) -> bytes:
    """Encode an RGB uint8 picture as JPEG."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    return cv2.imencode(".jpg", image[..., ::-1], parameters)[1].tobytes()


def palette_png_bytes(labels: np.ndarray) -> bytes:
    """Encode labels as a palette PNG (mode P) in VOC colours: the pixel value is the label."""
    stream = io.BytesIO()
    write_palette_mask(stream, labels)
    return stream.getvalue()


def void_ring(instances: np.ndarray) -> np.ndarray:
    """Return where VOC would put its border: bool, true within a pixel of a change of instance (2 pixels wide).

    VOC's borders are about 5 pixels wide at 500 x 375; the sample's pictures are a third of that.
    """
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(instances, kernel) != cv2.erode(instances, kernel)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return x, y, width and height in pixels of the true part of a mask."""
    return cv2.boundingRect(mask.astype(np.uint8))


def voc_xml(picture_id: str, scene: Scene, *, segmented: bool) -> bytes:
    """Return VOC's annotation of a picture: objects in instance order, boxes 1-based and inclusive."""
    height, width = scene.instances.shape
    lines = [
        f"<annotation>\n\t<folder>VOC2012</folder>\n\t<filename>{picture_id}.jpg</filename>",
        "\t<source>\n\t\t<database>segrepro sample</database>\n\t</source>",
        f"\t<size>\n\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n\t</size>",
        f"\t<segmented>{int(segmented)}</segmented>",
    ]
    for number, name in enumerate(scene.names, start=1):
        x, y, w, h = _box(scene.instances == number)
        truncated = int(x == 0 or y == 0 or x + w == width or y + h == height)
        lines += [
            f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Unspecified</pose>",
            f"\t\t<truncated>{truncated}</truncated>\n\t\t<difficult>0</difficult>",
            f"\t\t<bndbox>\n\t\t\t<xmin>{x + 1}</xmin>\n\t\t\t<ymin>{y + 1}</ymin>",
            f"\t\t\t<xmax>{x + w}</xmax>\n\t\t\t<ymax>{y + h}</ymax>\n\t\t</bndbox>\n\t</object>",
        ]
    return ("\n".join([*lines, "</annotation>"]) + "\n").encode()


def coarse_instances(instances: np.ndarray) -> np.ndarray:
    """Redraw an instance map with SBD's coarser outlines: polygons that err by a pixel or two; no void."""
    coarse = np.zeros_like(instances)
    for number in range(1, int(instances.max()) + 1):
        mask = cv2.medianBlur((instances == number).astype(np.uint8), 3)
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.fillPoly(coarse, [cv2.approxPolyDP(c, SBD_COARSENESS, True) for c in contours], number)
        if not (coarse == number).any():
            coarse[instances == number] = number
    for number in sorted(
        set(np.unique(instances)) - set(np.unique(coarse))
    ):  # a later outline covered the last pixels of a small object
        coarse[instances == number] = number
    return coarse


def sbd_mat_bytes(instances: np.ndarray, labels: list[int]) -> tuple[bytes, bytes]:
    """Return SBD's ``cls`` and ``inst`` .mat files of an instance map and the VOC label of each of its objects.

    As in the SBD release one holds ``GTcls`` (Segmentation, Boundaries of the 20 classes, CategoriesPresent) and the
    other ``GTinst`` (Segmentation, Boundaries of the objects, Categories).
    """
    objects = coarse_instances(instances)
    classes = np.concatenate([[0], labels]).astype(np.uint8)[objects]
    cls = {"Segmentation": classes, "Boundaries": _boundaries(classes, range(1, len(VOC_CLASSES)))}
    inst = {"Segmentation": objects, "Boundaries": _boundaries(objects, range(1, len(labels) + 1))}
    cls["CategoriesPresent"] = np.unique(classes[classes > 0]).astype(np.uint8)[:, None]
    inst["Categories"] = np.array(labels, np.uint8)[:, None]
    return _mat_bytes({"GTcls": cls}), _mat_bytes({"GTinst": inst})


def _boundaries(segmentation: np.ndarray, numbers: range) -> np.ndarray:
    """Return a column cell of sparse logical matrices, each the inner boundary of one class or object."""
    from scipy.sparse import csc_matrix

    cells = np.empty((len(numbers), 1), object)
    for row, number in enumerate(numbers):
        mask = (segmentation == number).astype(np.uint8)
        cells[row, 0] = csc_matrix((mask - cv2.erode(mask, np.ones((3, 3), np.uint8))).astype(bool))
    return cells


def _mat_bytes(variables: dict) -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    return MAT_HEADER.ljust(MAT_HEADER_BYTES) + stream.getvalue()[MAT_HEADER_BYTES:]


def coco_instances(scenes: dict[str, Scene], split: str, first_id: int) -> bytes:
    """Return the JSON of ``instances_<split>2017.json`` for scenes by picture id.

    Objects are polygons (several where a lamp post or another object cuts them), crowds uncompressed run lengths.
    Like in COCO, polygons cannot have holes, and reach a little over their neighbours.
    """
    images, annotations = [], []
    for picture_id, scene in scenes.items():
        height, width = scene.instances.shape
        name = f"{picture_id}.jpg"
        address = f"http://images.cocodataset.org/{split}2017/{name}"
        image = {"license": 1, "file_name": name, "coco_url": address, "height": height, "width": width}
        images.append(image | {"date_captured": "2017-09-01 00:00:00", "flickr_url": "", "id": int(picture_id)})
        for number, category in enumerate(scene.names, start=1):
            annotation = _coco_annotation(scene.instances == number, crowd=scene.crowds[number - 1])
            annotation |= {"image_id": int(picture_id), "category_id": CATEGORY_IDS[category]}
            annotations.append(annotation | {"id": first_id + len(annotations)})
    document = {
        "info": {"description": "segrepro sample in the layout of COCO 2017", "version": "1.0", "year": 2017},
        "licenses": [{"url": "", "id": 1, "name": "generated"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"supercategory": supercategory(i), "id": i, "name": n} for i, n in COCO_CATEGORIES.items()],
    }
    return json.dumps(document).encode()


def supercategory(category_id: int) -> str:
    """Return the official supercategory of a COCO category id."""
    return _SUPERCATEGORY_STARTS[max(start for start in _SUPERCATEGORY_STARTS if start <= category_id)]


def _coco_annotation(visible: np.ndarray, *, crowd: bool) -> dict:
    if crowd:
        segmentation = {"counts": run_lengths(visible), "size": list(visible.shape)}
        area, box = int(visible.sum()), [float(n) for n in _box(visible)]
    else:
        grown = cv2.dilate(visible.astype(np.uint8), COCO_OVERLAP)
        contours, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        contours = [cv2.approxPolyDP(c, 0.5, True)[:, 0] for c in contours]
        contours = [c for c in contours if len(c) >= MIN_POLYGON_POINTS]
        segmentation = [[round(float(n), 2) for n in c.ravel()] for c in contours]
        area = float(sum(cv2.contourArea(c) for c in contours))
        low = np.min([c.min(0) for c in contours], 0)
        high = np.max([c.max(0) for c in contours], 0)
        box = [float(n) for n in (*low, *(high - low))]
    return {"segmentation": segmentation, "area": area, "iscrowd": int(crowd), "bbox": box}


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return COCO's uncompressed run lengths: column by column, zeros first."""
    flat = np.concatenate([[0], mask.ravel(order="F").astype(np.int8), [-1]])
    ends = np.flatnonzero(np.diff(flat))
    ends[-1] = len(flat) - 2
    return np.diff(ends, prepend=0).tolist()
