"""How the answers of several systems become one: vote, mean, product, and the product of DeconvNet's release.

Pure functions of arrays at full size: labels are uint8 (members, height, width); maps of probabilities or scores are
float32 (height, width, classes), taken one after the other from an iterable, so that only the running result and one
member are in memory. Weights are above 0.
"""

from collections.abc import Iterable, Sequence

import numpy as np

# Sums of equal votes can differ in the last bits (0.1 + 0.2 and 0.3): a tie is a difference below this share of
# all weights.
TIE_TOLERANCE = 1e-9

# The least probability whose logarithm is taken; a float32 softmax can underflow to zero. Far below what a store can
# tell: no argmax depends on it unless two classes are both this improbable for some member.
LEAST_PROBABILITY = np.finfo(np.float32).tiny


def leaders(labels: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Say which members voted for a label that no other outvotes: bool, as labels; where labels tie, of several."""
    support = np.zeros(labels.shape)
    for own, total in zip(labels, support, strict=True):
        for other, weight in zip(labels, weights, strict=True):
            total += weight * (other == own)
    return support >= support.max(axis=0) - TIE_TOLERANCE * sum(weights)


def is_tied(labels: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Return the pixels, bool (height, width), at which the `leaders` have more than one label."""
    leading = leaders(labels, weights)
    lowest = np.where(leading, labels, 255).min(axis=0)
    return lowest != np.where(leading, labels, 0).max(axis=0)


def vote(labels: np.ndarray, weights: Sequence[float], preference: np.ndarray | None = None) -> np.ndarray:
    """Return the label (below 255) with the most votes at each pixel: uint8 (height, width).

    Among tied labels that of the member with the highest ``preference`` wins, numbers of any shape that broadcasts to
    ``labels``. Where that ties too, or there is none, the lowest label wins.
    """
    leading = leaders(labels, weights)
    if preference is not None:
        preference = np.where(leading, preference, -np.inf)
        leading &= preference == preference.max(axis=0)
    return np.where(leading, labels, 255).min(axis=0).astype(np.uint8)


def summed_probability(labels: np.ndarray, maps: Iterable[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return what all members together think of each member's label, a preference for `vote`.

    It is the weighted sum over the maps of the probability of the label: float64, as labels (members, height, width).
    """
    columns = np.moveaxis(labels, 0, -1).astype(np.intp)
    total = np.zeros(columns.shape)
    for weight, probabilities in zip(weights, maps, strict=True):
        total += weight * np.take_along_axis(probabilities, columns, axis=-1)
    return np.moveaxis(total, -1, 0)


def mean(maps: Iterable[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return the weighted mean of probabilities; only the proportions of the weights matter."""
    total = sum(np.float32(weight / sum(weights)) * each for weight, each in zip(weights, maps, strict=True))
    return total / total.sum(axis=-1, keepdims=True)


def product(maps: Iterable[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Return the product of probabilities, each to the power of its weight, renormalised.

    Computed by sums of logarithms, and so defined everywhere: where each class is impossible for some member, the
    least impossible wins instead of 0/0. Exponents are above 0: 1 for the plain product, 1/members for the geometric
    mean.
    """
    total = sum(
        np.float32(weight) * np.log(np.maximum(each, LEAST_PROBABILITY))
        for weight, each in zip(weights, maps, strict=True)
    )
    total = np.exp(total - total.max(axis=-1, keepdims=True))
    return total / total.sum(axis=-1, keepdims=True)


def release_product(deconvnet: np.ndarray, fcn: np.ndarray) -> np.ndarray:
    """Combine raw scores as DeconvNet's released code does (``generate_EDeconvNet_CRF_results.m``).

    ``max(0, deconvnet) * max(0, fcn)``. The release's DeconvNet scores are a maximum over boxes and zero, so their
    max(0, .) only undoes what a coarse storage stride overshoots. The release takes the argmax of the result as the
    answer and the softmax of it as the CRF's unary: the results are scores like a network's logits.

    A pixel where all classes give zero (no box covers it, or the two agree on no class above zero) has equal scores:
    the argmax is label 0, background, and the softmax 1/classes for each class.
    """
    return np.maximum(deconvnet, 0) * np.maximum(fcn, 0)
