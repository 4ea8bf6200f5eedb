"""The fully connected CRF (Kraehenbuehl and Koltun 2011) over one picture's scores, by pydensecrf.

The energy of a labelling is a unary at each pixel and Potts potentials between all pairs of pixels, weighted by two
Gaussian kernels: of position alone (``gaussian``: smoothness) and of position and colour (``bilateral``:
appearance). Mean-field iterations give each pixel's marginals. All labels of a picture take part; report 2 handled
one object per picture, and turned several into one class.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydensecrf import densecrf
from pydensecrf.utils import unary_from_labels, unary_from_softmax

from segrepro.config.crf import PARAMETERS, GivenParameters
from segrepro.data.pictures import read_rgb
from segrepro.errors import UserError
from segrepro.labels import label_space
from segrepro.schema import explain
from segrepro.stores.manifests import Example
from segrepro.stores.scores import LABELS, ScoreReader

NORMALISATIONS = {
    "symmetric": densecrf.NormalizationType.NORMALIZE_SYMMETRIC,  # pydensecrf's default
    "before": densecrf.NormalizationType.NORMALIZE_BEFORE,
    "after": densecrf.NormalizationType.NORMALIZE_AFTER,
    "none": densecrf.NormalizationType.NO_NORMALIZATION,
}
# Probability that a pixel's hard label is right, where nothing else is said: report 2's.
GT_PROB = 0.7


@dataclass(frozen=True)
class Parameters:
    """All parameters of the CRF; `segrepro.config.crf.GivenParameters` says what each is, and its range.

    Without ``gt_prob`` the unary is the negative logarithm of the probabilities; with it, the unary is made of hard
    labels, which are taken to be right with this probability: all other labels of the picture share the rest.
    """

    iterations: int
    gaussian_sxy: float
    gaussian_compat: float
    bilateral_sxy: float
    bilateral_srgb: float
    bilateral_compat: float
    normalisation: str = "symmetric"
    gt_prob: float | None = None

    def for_store(self, kind: str) -> "Parameters":
        """Return what is applied to a store of a kind: labels need a ``gt_prob``, `GT_PROB` where there is none."""
        return replace(self, gt_prob=GT_PROB) if kind == LABELS and self.gt_prob is None else self


# Which kernel has which numbers differs from source to source, so that each preset was read in two (weight: compat,
# standard deviation: sxy, srgb):
# deconvnet: HyeonwooNoh/DeconvNet inference/generate_EDeconvNet_CRF_results.m; not normalised, as its CRF,
#   johannesu/meanfield-matlab Densecrf.m, does by default. No second source of the numbers.
# deeplab_vgg: DeepLab's exper/run_densecrf.sh, in talent518/deeplab-public-ver2 and zhenglab/ChaetocerosImgSeg.
# deeplabv2_resnet101: kazuto1011/deeplab-pytorch configs/voc12.yaml (POS_W 3, POS_XY_STD 1, BI_W 4, BI_XY_STD 67,
#   BI_RGB_STD 3) and libs/utils/crf.py, which says what is which.
# pydensecrf_example: lucasb-eyer/pydensecrf examples/inference.py and README.md.
# report2: xiaochunWu/Semantic-Segmentation-CRF densecrf_inference.py, the report's own code: that example, run once.
PRESETS = {
    "deconvnet": Parameters(10, 3, 3, 20, 3, 5, normalisation="none"),
    "deeplab_vgg": Parameters(10, 3, 3, 49, 5, 4),
    "deeplabv2_resnet101": Parameters(10, 1, 3, 67, 3, 4),
    "pydensecrf_example": Parameters(5, 3, 3, 80, 13, 10),
    "report2": Parameters(1, 3, 3, 80, 13, 10, gt_prob=GT_PROB),
}


def parameters_of(values: Any, where: Path) -> Parameters:
    """Return the parameters that were read from a file; a `UserError` names it where they are none."""
    try:
        given = GivenParameters.model_validate(values)
    except ValidationError as error:
        told = explain(error, GivenParameters)[0]
        raise UserError(f"{where}: not parameters of a CRF ({told}); write it with `segrepro crf-search`.") from None
    if missing := [name for name in PARAMETERS if name not in given.given and name != "gt_prob"]:
        raise UserError(f"{where}: parameter '{missing[0]}' is missing; write it with `segrepro crf-search`.")
    return Parameters(**given.model_dump())


def mean_field(unary: np.ndarray, picture: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Return the marginals of the CRF, from the negative logarithms of probabilities and a picture.

    Both are float32 (labels, height * width); the marginals sum to 1 over the labels.
    """
    height, width = picture.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(np.ascontiguousarray(unary, np.float32))
    norm = {"normalization": NORMALISATIONS[parameters.normalisation]}
    if parameters.gaussian_compat:
        crf.addPairwiseGaussian(sxy=parameters.gaussian_sxy, compat=parameters.gaussian_compat, **norm)
    if parameters.bilateral_compat:
        crf.addPairwiseBilateral(
            sxy=parameters.bilateral_sxy,
            srgb=parameters.bilateral_srgb,
            rgbim=np.ascontiguousarray(picture),
            compat=parameters.bilateral_compat,
            **norm,
        )
    return np.array(crf.inference(parameters.iterations))


@dataclass(frozen=True)
class Evidence:
    """What the CRF starts from for one picture."""

    picture: np.ndarray  # uint8 RGB (height, width, 3)
    maps: np.ndarray  # probabilities, float32 (height, width, classes), or hard labels, uint8 (height, width)
    classes: int  # of the label space


def read_evidence(reader: ScoreReader, example: Example, space: str, *, hard: bool) -> Evidence:
    """Read a picture, and its probabilities or (``hard``) its labels from a store, in a label space.

    Files that are missing or damaged, scores that are not finite and sizes that differ are a `UserError`.
    """
    picture = read_rgb(example.image)
    (height, width), size = reader.size(example.id), picture.shape[:2]
    if size != (height, width):
        raise UserError(
            f"{example.image}: the picture is {size[1]} x {size[0]} pixels, but {width} x {height} in "
            f"{reader.path}; predict it again from this manifest."
        )
    maps = reader.labels(example.id, space) if hard else reader.probabilities(example.id, space)
    return Evidence(picture, maps, len(label_space(space)))


def refine(evidence: Evidence, parameters: Parameters, *, drop_below: float = 0.0) -> np.ndarray:
    """Return the marginals of a picture, from probabilities, or from hard labels where ``parameters.gt_prob`` is set.

    Hard labels: the unary has the labels that occur in the picture, as in pydensecrf's example and in report 2.
    (A label that occurs nowhere would only take an equal share of what ``gt_prob`` leaves, at every pixel; it could
    not win anywhere.)

    Args:
        evidence: of the picture, as of `read_evidence`.
        parameters: of the CRF.
        drop_below: leave a label out of the unary where its probability is below this at every pixel of the
            picture. Hence not exact, and 0 (all labels) unless asked for: no useful bound can be proved. What the
            labels left out, of probability p together, add to an energy is at most p times the weights (13 in
            pydensecrf's example), but an iteration can multiply a difference by up to half of the weights: 6.5 ** 5
            in that example. Measured on trained networks' scores, 0.01 drops a quarter to half of 21 labels, is 1.2
            to 1.7 times as fast, and changes the label of 0.004 % of the pixels, 0.1 % in the worst picture.

    Returns:
        float32 (height, width, classes), summing to 1; 0 for labels that did not take part.
    """
    if parameters.gt_prob is None:
        by_label = np.moveaxis(evidence.maps, -1, 0)
        labels = np.arange(len(by_label))
        if drop_below > 0:
            peaks = by_label.max(axis=(1, 2))
            labels = np.flatnonzero((peaks >= drop_below) | (peaks == peaks.max()))
        unary = unary_from_softmax(np.ascontiguousarray(by_label[labels]))
    else:
        labels, places = np.unique(evidence.maps, return_inverse=True)
        if len(labels) > 1:
            unary = unary_from_labels(places, len(labels), parameters.gt_prob, zero_unsure=False)
    size = evidence.picture.shape[:2]
    result = np.zeros((*size, evidence.classes), np.float32)
    if len(labels) == 1:  # nothing to decide
        result[..., labels[0]] = 1
    else:
        marginals = mean_field(unary, evidence.picture, parameters)
        result[..., labels] = marginals.reshape(-1, *size).transpose(1, 2, 0)
    return result
