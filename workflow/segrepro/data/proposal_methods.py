"""The methods that propose boxes: what they have in common, selective search and EdgeBoxes, both of OpenCV."""

import functools
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segrepro.config.proposals import EdgeBoxes, ProposalSettings, SelectiveSearch
from segrepro.data.boxes import areas, overlaps
from segrepro.data.pictures import opened_picture
from segrepro.errors import UserError
from segrepro.files import file_digest

SOBEL = "sobel"

# Radius (pixels) of the triangle filter of EdgeBoxes' own gradient edges and of its orientations: convTri(., 4).
SMOOTHING_RADIUS = 4

# Side (pixels) of the patches that the published structured forest looks at.
FOREST_PATCH = 32

# OpenCV offers orientation and thinning of edge maps only as methods of a structured-forest detector. This one has a
# forest without trees; of its options only the smoothing radius is used (by computeOrientation).
TREELESS_FOREST = f"""%YAML:1.0
---
options: {{stride: 2, shrinkNumber: 2, patchSize: {FOREST_PATCH}, patchInnerSize: 16, numberOfGradientOrientations: 4,
  gradientSmoothingRadius: 0, regFeatureSmoothingRadius: 2, ssFeatureSmoothingRadius: 8,
  gradientNormalizationRadius: {SMOOTHING_RADIUS}, selfsimilarityGridSize: 5, numberOfTrees: 1,
  numberOfTreesToEvaluate: 1}}
childs: []
featureIds: []
thresholds: []
edgeBoundaries: []
edgeBins: []
"""
FOREST_KEYS = ("childs", "featureIds", "thresholds", "edgeBoundaries", "edgeBins")


def proposal_method(
    settings: SelectiveSearch | EdgeBoxes, model: Path | None = None, edges: Path | None = None
) -> "ProposalMethod":
    """Return the method that a section declares; EdgeBoxes takes its forest or its edges as of `EdgeBoxesMethod`.

    A file that the method needs and that is missing or unusable, or one too many, is refused.
    """
    if isinstance(settings, EdgeBoxes):
        return EdgeBoxesMethod(settings, *(None if path is None else str(path) for path in (model, edges)))
    if model is not None or edges is not None:
        raise UserError(f"{settings.method}: takes neither model nor edges; leave them out.")
    return SelectiveSearchMethod(settings)


@dataclass(frozen=True)
class ProposalMethod(ABC):
    """What a method does for one picture, by the settings of its section."""

    settings: ProposalSettings

    @property
    def name(self) -> str:
        """The method's name in the config."""
        return self.settings.method

    def find(self, picture: np.ndarray, *, id: str, seed: int) -> np.ndarray:
        """Return a picture's proposals; the picture is RGB, uint8 of shape (height, width, 3).

        Files of the method go by the ``id``; the ``seed`` is of what chance there is in it.

        Returns:
            int32 of shape (n, 4): x1, y1, x2, y2 in pixels, half-open, inside the picture, each once, best first;
            n is between 0 and ``max_boxes``.

        Raises:
            UserError: a file that the method needs for this picture cannot be used.
        """
        height, width = picture.shape[:2]
        boxes = np.clip(self._ranked(picture, id, seed), 0, [width, height, width, height])
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= self.settings.min_side]
        _, first = np.unique(boxes, axis=0, return_index=True)
        return boxes[np.sort(first)][: self.settings.max_boxes].astype(np.int32)

    @abstractmethod
    def _ranked(self, picture: np.ndarray, id: str, seed: int) -> np.ndarray:
        """Boxes (n, 4), best first; `find` clips, filters and counts."""

    def described(self) -> dict[str, Any]:
        """The settings for records and hashes: plain values, files by their content, the same on every machine."""
        return self.settings.model_dump(exclude={"method"})

    def file_for(self, id: str) -> Path | None:
        """The file, besides the picture, that the boxes of picture ``id`` depend on."""
        return None


def _corners(rectangles: Any) -> np.ndarray:
    """OpenCV's x, y, width, height (an empty tuple where it found none) as int64 corners."""
    boxes = np.array(rectangles, np.int64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


@dataclass(frozen=True)
class SelectiveSearchMethod(ProposalMethod):
    """Selective search, with an order of its own; needs no model file.

    OpenCV (4.x and 5.0 alike) orders by C's ``rand()``, which no seed of OpenCV's reaches, times the level in the
    hierarchy, smallest regions first ("inverted from the paper", its source says). The set of boxes is deterministic.
    Measured on the 130 objects of 40 VOC val pictures (strategy ``fast``), the first 50 proposals in the order used
    here find 47 % of them at IoU 0.5 instead of 24 %, and 28 % at IoU 0.7 instead of 10 %.

    It is the order of the paper, "place in the hierarchy, from the whole picture down, times a random number", with the
    place by area, since OpenCV does not say where in the hierarchies a box was. Then a box that overlaps a better one
    by more than ``near_duplicate_iou`` goes behind all that do not: hierarchies of several colour spaces find the same
    thing many times over.
    """

    settings: SelectiveSearch

    def _ranked(self, picture: np.ndarray, id: str, seed: int) -> np.ndarray:
        settings = self.settings
        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(picture[..., ::-1]))  # OpenCV's colours are BGR
        fast = settings.strategy == "fast"
        switch = search.switchToSelectiveSearchFast if fast else search.switchToSelectiveSearchQuality
        switch(settings.base_k, settings.inc_k, settings.sigma)
        boxes = _corners(search.process())
        # A small box would lose its place in `find`; it must not push another one to the end before that.
        boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= settings.min_side]
        boxes = _by_place_and_chance(boxes, seed)
        return _near_duplicates_last(boxes, settings.near_duplicate_iou, settings.max_boxes)


def _by_place_and_chance(boxes: np.ndarray, seed: int) -> np.ndarray:
    """Order boxes by place (from the largest down) x a random number, whatever order they came in."""
    boxes = np.unique(boxes, axis=0)
    boxes = boxes[np.argsort(-areas(boxes), kind="stable")]
    chance = np.random.default_rng(seed).random(len(boxes))
    return boxes[np.argsort(chance * np.arange(1, len(boxes) + 1), kind="stable")]


def _near_duplicates_last(boxes: np.ndarray, iou: float, count: int) -> np.ndarray:
    """Put boxes that overlap a better one by more than ``iou`` at the end; both parts keep their order.

    Only the first ``count`` boxes of the result are in that order; no others are used.
    """
    waiting, kept = np.arange(len(boxes)), []
    if iou >= 1:
        return boxes
    while len(waiting) and len(kept) < count:
        best, waiting = waiting[0], waiting[1:]
        kept.append(best)
        waiting = waiting[overlaps(boxes[best][None], boxes[waiting])[0] <= iou]
    return np.concatenate([boxes[kept], np.delete(boxes, kept, axis=0)])


@dataclass(frozen=True)
class EdgeBoxesMethod(ProposalMethod):
    """EdgeBoxes: proposals by how many edges lie wholly inside a box.

    Edges come from a structured forest, as published, from ready maps, or from the picture's gradient, which the
    release offers behind a switch and which needs no file. Maps are thinned (non-maximum suppression over 2
    pixels) as in the release.

    Attributes:
        model: structured-forest file of OpenCV (model.yml.gz of opencv_extra), or None.
        edges: None with a model; ``sobel``; or a folder of maps ``<id>.png``: 8-bit, one channel, as large as their
            pictures, 255 = edge.
    """

    settings: EdgeBoxes
    model: str | None = None
    edges: str | None = None

    def __post_init__(self) -> None:
        """Check that there is one source of edges, and that it is usable."""
        if (self.model is None) == (self.edges is None):
            raise UserError(
                f"{self.name}: give either model (structured-forest file) or edges ('{SOBEL}' or a folder of maps)."
            )
        if self.model is not None:
            _check_forest(self.model)
        elif self.edges != SOBEL and not Path(self.edges).is_dir():
            raise UserError(f"{self.edges}: no such folder of edge maps; make it, or use edges '{SOBEL}'.")

    def _ranked(self, picture: np.ndarray, id: str, seed: int) -> np.ndarray:
        detector = _edge_detector(self.model)
        edges = self._edges(picture, id, detector)
        directions = detector.computeOrientation(edges)
        edges = detector.edgesNms(edges, directions, r=2, s=0, m=1, isParallel=False)
        settings = self.settings
        search = cv2.ximgproc.createEdgeBoxes(
            alpha=settings.alpha,
            beta=settings.beta,
            eta=settings.eta,
            minScore=settings.min_score,
            maxBoxes=settings.search_boxes,
            edgeMinMag=settings.edge_min_magnitude,
            edgeMergeThr=settings.edge_merge_threshold,
            clusterMinMag=settings.cluster_min_magnitude,
            maxAspectRatio=settings.max_aspect_ratio,
            minBoxArea=settings.min_box_area,
            gamma=settings.gamma,
            kappa=settings.kappa,
        )
        boxes, _ = search.getBoundingBoxes(edges, directions)
        # OpenCV's boxes count pixels from 1 (a line of the original Matlab code), and their width leaves out the last
        # column that was scored; here boxes are from 0 and half-open.
        return _corners(boxes) - np.array([1, 1, 0, 0])

    def _edges(self, picture: np.ndarray, id: str, detector: Any) -> np.ndarray:
        if self.model is not None:
            return _forest_edges(picture, detector)
        path = self.file_for(id)
        return gradient_edges(picture) if path is None else read_edges(path, picture.shape[:2])

    def described(self) -> dict[str, Any]:
        """As for every method; the forest by its digest, a folder of maps as such (`file_for` gives each map)."""
        files = {
            "model": self.model and file_digest(Path(self.model)),
            "edges": self.edges if self.edges in (None, SOBEL) else "maps",
        }
        return super().described() | files

    def file_for(self, id: str) -> Path | None:
        """The picture's edge map, where edges come from a folder."""
        return None if self.edges in (None, SOBEL) else Path(self.edges) / f"{id}.png"


def _forest_edges(picture: np.ndarray, detector: Any) -> np.ndarray:
    """Edges of a structured forest; a picture smaller than its patches is continued, or OpenCV's sizes wrap round."""
    height, width = picture.shape[:2]
    below, right = max(0, FOREST_PATCH - height), max(0, FOREST_PATCH - width)
    enough = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(detector.detectEdges(enough.astype(np.float32) / 255)[:height, :width])


def gradient_edges(picture: np.ndarray) -> np.ndarray:
    """Edges of an RGB picture as the size of its smoothed gradient: the release's alternative to the structured forest.

    Returns float32 of shape (height, width), in [0, 1], 1 at the strongest edge; all 0 for a picture of one colour.
    """
    triangle = np.array([*range(1, SMOOTHING_RADIUS + 2), *range(SMOOTHING_RADIUS, 0, -1)], np.float32)
    triangle /= triangle.sum()
    smooth = cv2.sepFilter2D(picture.astype(np.float32), -1, triangle, triangle, borderType=cv2.BORDER_REFLECT)
    along_x, along_y = cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)
    magnitude = np.sqrt(along_x**2 + along_y**2).max(axis=2)  # of the channel where it is strongest
    strongest = magnitude.max()
    # Rounding alone leaves some 1e-4 of 255 in a picture of one colour; a true edge of one grey level is above 0.1.
    return magnitude / strongest if strongest > 1e-2 else np.zeros_like(magnitude)


def read_edges(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read an edge map, an 8-bit PNG of one channel (255 = edge) of ``size`` (height, width), as float32 in [0, 1]."""
    missing = "no such edge map; make one for every picture of the manifest"
    damaged = "the edge map cannot be read ({fault}); make it again"
    with opened_picture(path, str(path), missing=missing, damaged=damaged) as opened:
        kind, mode, edges = opened.format, opened.mode, np.asarray(opened)
    if (kind, mode) != ("PNG", "L"):
        raise UserError(f"{path}: a {kind} of mode {mode} is no edge map; write an 8-bit PNG of one channel.")
    if edges.shape != tuple(size):
        raise UserError(
            f"{path}: the edge map is {edges.shape[1]} x {edges.shape[0]} pixels and its picture {size[1]} x {size[0]};"
            " make it again at the picture's size."
        )
    return edges.astype(np.float32) / 255


@functools.lru_cache(maxsize=1)
def _edge_detector(model: str | None) -> Any:
    """OpenCV's detector, once per process: the published forest takes seconds to load."""
    if model is not None:
        return cv2.ximgproc.createStructuredEdgeDetection(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "treeless.yml"
        path.write_text(TREELESS_FOREST)
        return cv2.ximgproc.createStructuredEdgeDetection(str(path))


def _check_forest(path: str) -> None:
    """Refuse a file that OpenCV would crash on: its loader divides by the number of trees, unasked."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such model file; fetch it, or use edges '{SOBEL}'.")
    # What OpenCV raises names a place in its source; for a file that it cannot parse, not even that.
    wrong = UserError(f"{path}: not a structured forest of OpenCV; fetch model.yml.gz of opencv_extra again.")
    try:
        storage = cv2.FileStorage(path, cv2.FILE_STORAGE_READ)
        lists = all(storage.getNode(key).isSeq() and storage.getNode(key).size() for key in FOREST_KEYS)
        trees = storage.getNode("options").getNode("numberOfTrees")
        usable = storage.isOpened() and lists and not trees.empty() and trees.real() >= 1
    except (cv2.error, SystemError) as error:
        raise wrong from error
    if not usable:
        raise wrong
