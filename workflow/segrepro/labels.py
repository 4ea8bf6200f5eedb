"""Label spaces (VOC-21, COCO-91), the VOC palette, and the mapping between the spaces.

A label is the pixel value of a mask. 255 is void everywhere: never trained, never scored.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segrepro.errors import UserError

VOID = 255
BACKGROUND = 0

VOC_CLASSES = (
    "background",
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

# Official COCO category ids and names (instances_train2017.json): 80 of the ids 1..90 are in use.
COCO_CATEGORIES = {
    **{1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train"},
    **{8: "truck", 9: "boat", 10: "traffic light", 11: "fire hydrant", 13: "stop sign"},
    **{14: "parking meter", 15: "bench", 16: "bird", 17: "cat", 18: "dog", 19: "horse", 20: "sheep"},
    **{21: "cow", 22: "elephant", 23: "bear", 24: "zebra", 25: "giraffe", 27: "backpack"},
    **{28: "umbrella", 31: "handbag", 32: "tie", 33: "suitcase", 34: "frisbee", 35: "skis"},
    **{36: "snowboard", 37: "sports ball", 38: "kite", 39: "baseball bat", 40: "baseball glove"},
    **{41: "skateboard", 42: "surfboard", 43: "tennis racket", 44: "bottle", 46: "wine glass"},
    **{47: "cup", 48: "fork", 49: "knife", 50: "spoon", 51: "bowl", 52: "banana", 53: "apple"},
    **{54: "sandwich", 55: "orange", 56: "broccoli", 57: "carrot", 58: "hot dog", 59: "pizza"},
    **{60: "donut", 61: "cake", 62: "chair", 63: "couch", 64: "potted plant", 65: "bed"},
    **{67: "dining table", 70: "toilet", 72: "tv", 73: "laptop", 74: "mouse", 75: "remote"},
    **{76: "keyboard", 77: "cell phone", 78: "microwave", 79: "oven", 80: "toaster", 81: "sink"},
    **{82: "refrigerator", 84: "book", 85: "clock", 86: "vase", 87: "scissors", 88: "teddy bear"},
    **{89: "hair drier", 90: "toothbrush"},
}

# The COCO category id of each VOC class, in VOC order 0..20 (0 = background). Two sources: the names above, which a
# test compares with VOC's, and CAT_LIST of torchvision's references/segmentation/coco_utils.py.
COCO_IDS_IN_VOC_ORDER = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)


@dataclass(frozen=True)
class LabelSpace:
    """A set of labels that masks or scores are in."""

    name: str  # used in configs and score stores
    classes: tuple[str | None, ...]  # the class name of each label 0..n-1; None where the label is not in use
    voc_labels: tuple[int, ...]  # for each label 0..n-1, the VOC-21 label it is scored as

    def __len__(self) -> int:
        return len(self.classes)

    @cached_property
    def used_labels(self) -> tuple[int, ...]:
        """The labels that name a class."""
        return tuple(label for label, name in enumerate(self.classes) if name is not None)

    @cached_property
    def object_labels(self) -> tuple[int, ...]:
        """The labels that name an object class: all used ones but background."""
        return tuple(label for label in self.used_labels if label != BACKGROUND)

    @cached_property
    def to_voc21(self) -> np.ndarray:
        """Lookup table, uint8 of shape (256,): label -> VOC-21 label; all else, void included, -> void."""
        table = np.full(256, VOID, np.uint8)
        table[: len(self)] = self.voc_labels
        return table


VOC21 = LabelSpace("voc21", VOC_CLASSES, tuple(range(len(VOC_CLASSES))))

COCO91 = LabelSpace(
    "coco91",
    tuple("background" if i == 0 else COCO_CATEGORIES.get(i) for i in range(91)),
    tuple(COCO_IDS_IN_VOC_ORDER.index(i) if i in COCO_IDS_IN_VOC_ORDER else BACKGROUND for i in range(91)),
)

LABEL_SPACES = {space.name: space for space in (VOC21, COCO91)}


def label_space(name: str) -> LabelSpace:
    """Return the label space called ``name``; a `UserError` where none is."""
    if name not in LABEL_SPACES:
        raise UserError(f"label space '{name}' is unknown: use one of {', '.join(LABEL_SPACES)}.")
    return LABEL_SPACES[name]


def voc_palette() -> np.ndarray:
    """Return the palette of the VOC devkit: uint8 of shape (256, 3), RGB, indexed by label.

    Bit k of each colour channel, from the most significant down, takes bits 3k..3k+2 of the label
    (VOCdevkit ``VOClabelcolormap.m``): background is black, void (255) is (224, 224, 192).
    """
    palette = np.zeros((256, 3), np.uint8)
    labels = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= (((labels >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette
