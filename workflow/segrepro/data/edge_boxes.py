"""EdgeBoxes of OpenCV: proposals by how many edges lie wholly inside a box.

OpenCV's boxes count pixels from 1 (a line of the original Matlab code), and their width leaves out the last column that
was scored; here boxes come back from 0 and half-open.
"""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from segrepro.config.proposals import EdgeBoxes
from segrepro.data.pictures import opened_picture
from segrepro.data.proposal_base import ProposalMethod, corners
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


@dataclass(frozen=True)
class EdgeBoxesMethod(ProposalMethod):
    """EdgeBoxes, with edges from a structured forest, as published, from ready maps, or from the picture's gradient.

    The release offers the gradient behind a switch; it needs no file. Maps are thinned (non-maximum suppression over 2
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
        return corners(boxes) - np.array([1, 1, 0, 0])  # see the top of the file

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

    Returns:
        float32 of shape (height, width), in [0, 1], 1 at the strongest edge; all 0 for a picture of one colour.
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
    """Read an edge map, an 8-bit PNG of one channel (255 = edge), as float32 in [0, 1].

    Raises:
        UserError: the map is missing, unreadable, of several channels or not of ``size`` (height, width).
    """
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
