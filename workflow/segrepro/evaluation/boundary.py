"""Accuracy near boundaries: boundary IoU, and mIoU within a band ("trimap") around the truth's boundaries.

Both measure distance as the papers' code does, by 3 x 3 dilations: the chessboard distance, in which a pixel's eight
neighbours are 1 away. Void (255) is a label of the truth that borders on the others and is never counted itself.

**Boundary IoU** (Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021,
equation 2): the IoU of a class, counted over those pixels of its truth and of its prediction that lie within a distance
d of the mask's own contour, inside of it. d is 2% of the picture's diagonal, rounded, at least 1; where a mask is cut
off by the picture's edge, the edge is contour: all as in the authors' code. A class' counts are summed over pictures
before dividing, like those of mIoU. The paper has no void. Here void is taken out of the prediction before its
contours are drawn: what is predicted there is free, as it is in mIoU, and truth and prediction that agree outside of
void have the same contours. Left in, VOC's void bands (5 pixels wide, centred on the objects' outlines) would punish
the prediction that fills them, which no truth can.

**Trimap** (Kohli et al., IJCV 2009; Kraehenbuehl and Koltun, "Efficient Inference in Fully Connected CRFs", NIPS 2011;
the DeepLab papers): mIoU over the pixels in a band around the truth's boundaries. DeepLabv3+ (section 4.3) dilates
VOC's void, which lies on the boundaries. Masks without void (SBD, COCO) have boundaries too, so here a pixel is in the
band of width w when some pixel within distance w of it has another label, void included: around void this is the
dilated void of the papers, elsewhere the w pixels on either side of a change of class. The picture's edge is no
boundary, and a picture of one label has no band. Objects of one class that touch are told apart only where void lies
between them.
"""

import math

import cv2
import numpy as np

from segrepro.evaluation.metrics import counts_of_labels
from segrepro.labels import VOID


def boundary_width(shape: tuple[int, int], ratio: float) -> int:
    """Return the distance d of boundary IoU, in pixels: a share of the diagonal of (height, width), at least 1."""
    return max(1, round(ratio * math.hypot(*shape)))


def boundary_pixels(labels: np.ndarray, width: int) -> np.ndarray:
    """Find the pixels (bool, as the labels' shape) within a distance of their region's contour, 1 for the contour.

    The picture's edge is a contour.
    """
    window = _window(width)
    # Beyond the edge is void, which is no class of the picture's: for the erosion, the highest label has no effect.
    highest = cv2.dilate(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=VOID)
    return highest != cv2.erode(labels, window, borderType=cv2.BORDER_CONSTANT, borderValue=VOID)


def boundary_counts(truth: np.ndarray, prediction: np.ndarray, num_classes: int, *, ratio: float) -> np.ndarray:
    """Count what boundary IoU is made of, of one picture, as `counts_of_labels`; the ratio is of its diagonal.

    Both label maps are uint8 (height, width); the prediction's value under the truth's void is free.
    """
    prediction = np.where(truth == VOID, np.uint8(VOID), prediction)
    width = boundary_width(truth.shape, ratio)
    near = [np.where(boundary_pixels(labels, width), labels, np.uint8(VOID)) for labels in (truth, prediction)]
    return counts_of_labels(*near, num_classes)


def boundary_distance(truth: np.ndarray) -> np.ndarray | None:
    """Measure each pixel's distance to the nearest pixel of another label, void included.

    Returns:
        int32, as the truth's shape, 1 or more, in pixels; None where the picture has one label only.
    """
    window = _window(1)
    within = cv2.dilate(truth, window) == cv2.erode(truth, window)
    if within.all():
        return None
    # A shortest way to another label leaves the pixel's own region from a pixel that touches the other.
    return cv2.distanceTransform(within.astype(np.uint8), cv2.DIST_C, cv2.DIST_MASK_3).astype(np.int32) + 1


def trimap_counts(
    truth: np.ndarray, prediction: np.ndarray, num_classes: int, *, widths: tuple[int, ...]
) -> np.ndarray:
    """Count what the mIoU of each band is made of, of one picture as of `boundary_counts`; the widths increase.

    Returns:
        int64, shape (len(widths), 3, num_classes): see `counts_of_labels`.
    """
    counts = np.zeros((len(widths), 3, num_classes), np.int64)
    distance = boundary_distance(truth)
    if distance is None:
        return counts
    in_band = (distance <= widths[-1]) & (truth != VOID)
    true, predicted = truth[in_band], prediction[in_band]
    # The first band that holds the pixel; the wider ones hold it too.
    first = np.searchsorted(widths, np.arange(widths[-1] + 1))[distance[in_band]]
    for place, (labels, chosen) in enumerate(((true, true == predicted), (true, ...), (predicted, ...))):
        keys = first[chosen] * num_classes + labels[chosen]
        counts[:, place] = np.bincount(keys, minlength=counts[:, place].size).reshape(len(widths), num_classes)
    return counts.cumsum(axis=0)


def _window(width: int) -> np.ndarray:
    return np.ones((2 * width + 1, 2 * width + 1), np.uint8)
