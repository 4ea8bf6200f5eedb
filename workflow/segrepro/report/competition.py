"""Which of the VOC server's two segmentation competitions a system may enter, by what it was made from.

VOC 2012's development kit, section 5.2: competition 5 takes training data from VOC's own trainval only, competition 6
from any source but VOC's test pictures. SBD's and COCO's pictures and labels are other sources, and so are pretrained
weights (ImageNet's), wherever in a system's ancestry they come in, and trained edge detectors of object proposals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segrepro.graph import PROPOSALS, WEIGHTS, Graph
from segrepro.provenance.origin import detector

if TYPE_CHECKING:
    from segrepro.config import Config

OWN_DATA, ANY_DATA = 5, 6
# Datasets whose pictures and labels are all of VOC 2012's trainval.
OWN_DATASETS = ("voc_train", "voc_val", "voc_trainval", "seg11valid")


def external_sources(config: Config, graph: Graph, system: str) -> list[str]:
    """Name the sources besides VOC's own trainval data that a system and its ancestors are made from."""
    ancestors = graph.ancestors(system)
    seen = (pictures.name for node in ancestors if node[0] != WEIGHTS for pictures in graph.seen(node))
    datasets = {config.dataset_of(name) for name in seen}  # a CRF may be tuned on a part of one
    return [
        *(f"dataset {name}" for name in sorted(datasets) if name not in OWN_DATASETS),
        *(f"weights {name}" for name in sorted(graph.of_kind(WEIGHTS, system))),
        *(f"edge detector of {name}" for name in sorted(graph.of_kind(PROPOSALS, system)) if detector(config, name)),
    ]


def competition(config: Config, graph: Graph, system: str) -> int:
    """Return `OWN_DATA` (5) or `ANY_DATA` (6)."""
    return ANY_DATA if external_sources(config, graph, system) else OWN_DATA
