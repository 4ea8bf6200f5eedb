"""The config's ways to propose boxes where objects may be, for DeconvNet."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from segrepro.config.data import Archive
from segrepro.schema import NotNegative, Positive, Section, Share


class ProposalSettings(Section):
    """What every method of object proposals has."""

    max_boxes: Positive = Field(
        2000, description="most boxes kept per picture, best first (2000: what DeconvNet's authors took of EdgeBoxes)"
    )
    min_side: Positive = Field(10, description="least width and height of a box, pixels")


class SelectiveSearch(ProposalSettings):
    """Selective search (Uijlings et al., IJCV 2013), OpenCV's.

    base_k, inc_k and sigma are the defaults of OpenCV's switchToSelectiveSearchFast and -Quality. (The authors' Matlab
    demo, another implementation, has sigma 0.8 too and k = 50, 100, 150 and 300, the first two in its fast mode.)
    """

    method: Literal["selective_search"] = "selective_search"
    strategy: Literal["fast", "quality"] = Field(
        "fast", description="fast: 2 colour spaces, 3 graphs and 2 measures of similarity; quality: 5, 5 and 4"
    )
    base_k: Positive = Field(150, description="scale of the first graph segmentation; larger gives larger regions")
    inc_k: Positive = Field(150, description="step between the scales of graph segmentations")
    sigma: Annotated[float, Field(ge=0.01, le=100)] = Field(
        0.8, description="standard deviation of the smoothing Gaussian, pixels"
    )
    near_duplicate_iou: Share = Field(
        0.7, description="boxes whose IoU with a better one is higher go behind all others; 1: the paper's order"
    )


class EdgeBoxes(ProposalSettings):
    """EdgeBoxes (Zitnick and Dollar, ECCV 2014), OpenCV's.

    Defaults: pdollar/edges edgeBoxes.m, and createEdgeBoxes of OpenCV's ximgproc, which has eta besides.
    """

    method: Literal["edge_boxes"] = "edge_boxes"
    model: Archive | None = Field(None, description="structured-forest model; null: see edges")
    edges: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="folder of edge maps <id>.png (8-bit, the image's size, 255 = edge) instead of a model; null "
        "without a model: the image's gradients",
    )
    alpha: Annotated[float, Field(ge=0.01, le=0.99)] = Field(
        0.65, description="step of the sliding window, given as the IoU of neighbours"
    )
    beta: Annotated[float, Field(ge=0.01, le=1)] = Field(
        0.75, description="IoU above which the worse of two boxes is dropped"
    )
    eta: Annotated[float, Field(ge=0.01, le=1)] = Field(1.0, description="factor that lowers beta box by box; 1: none")
    min_score: NotNegative = Field(0.01, description="least score of a box")
    search_boxes: Positive = Field(10_000, description="most boxes that the search returns, before max_boxes applies")
    edge_min_magnitude: Share = Field(0.1, description="magnitude below which edges do not count")
    edge_merge_threshold: NotNegative = Field(
        0.5, description="largest change of direction within an edge group, in half turns"
    )
    cluster_min_magnitude: NotNegative = Field(
        0.5, description="magnitude below which edge groups join their neighbours"
    )
    max_aspect_ratio: Annotated[float, Field(ge=1)] = Field(3.0, description="largest aspect ratio of a box")
    min_box_area: Annotated[float, Field(ge=1)] = Field(1000.0, description="least area of a box, pixels")
    gamma: NotNegative = Field(2.0, description="sensitivity of the affinity to direction")
    kappa: NotNegative = Field(1.5, description="exponent by which large boxes are favoured less")

    @model_validator(mode="after")
    def _one_source_of_edges(self) -> "EdgeBoxes":
        if self.model is not None and self.edges is not None:
            raise ValueError("edges: has no meaning beside 'model'; set model to null, or remove edges")
        return self


class ProposalRecall(Section):
    """How many objects proposals find: a row of the table for each number of proposals and each IoU."""

    counts: Annotated[list[Positive], Field(min_length=1)] = Field(
        [50, 500, 2000], description="proposals per picture that may be used, best first"
    )
    ious: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)] = Field(
        [0.5, 0.7], description="an object is found where a proposal overlaps its tight box by this IoU or more"
    )


# The section of each method, by name.
METHODS = {section.model_fields["method"].default: section for section in (SelectiveSearch, EdgeBoxes)}

Proposals = Annotated[SelectiveSearch | EdgeBoxes, Field(discriminator="method")]
