"""Bootstrap intervals, over the pictures of a split, of any metrics made of sums over pictures, such as mIoU.

Pictures are drawn with replacement, as many as there are, and the metric is computed on each such resample, which is a
weighted sum: how often each picture was drawn, times its counts. Systems on the same pictures share the resamples,
which pairs their differences.

The interval is the bias-corrected and accelerated one, BCa (Efron, "Better bootstrap confidence intervals", 1987;
Efron and Tibshirani 1993, chapter 14). mIoU is a mean of ratios of sums, hence biased on few pictures: the plain
percentile interval follows the bias, BCa takes it out.

A class counts in a resample when its ground truth is in it: `segrepro.evaluation.metrics` on the resample. A class
that the split's ground truth lacks never counts; one that a resample has lost is left out of that resample's
mean, in the same resamples for every system.

The interval says what other pictures of the kind would change, and nothing of another seed or training. What is defined
by a single picture, such as the IoU of a class that is in one mask only, has none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from segrepro.config.tables import Bootstrap

# Draws beyond zero from which on their share measures a tail; of fewer, a normal curve through the draws does.
TAIL = 20
BLOCK = 256  # resamples at a time: weights take BLOCK x pictures x 8 bytes, 3 MB for VOC val, whatever the number


class Interval(NamedTuple):
    """An interval of confidence; for mIoU as a fraction, for a difference of two in [-1, 1]."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """Metrics and the ends of their intervals: arrays of one shape, NaN where undefined."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, place: int | slice) -> "Estimates":
        """Return those of one of the metrics, or of some."""
        return Estimates(self.value[place], self.low[place], self.high[place])


class Draws(NamedTuple):
    """A metric, or several, and what bootstrap intervals are made from."""

    value: np.ndarray  # of all pictures, shape (...)
    resampled: np.ndarray  # of each resample of the pictures, shape (resamples, ...)
    left_out: np.ndarray  # of all pictures but one, for each picture, shape (pictures, ...)

    def minus(self, other: "Draws") -> "Draws":
        """Return the difference to another system's, on the same pictures in the same order and the same draws."""
        return Draws(*(own - others for own, others in zip(self, other, strict=True)))


def draws(metric: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, *, resamples: int, seed: int) -> Draws:
    """Compute metrics of all pictures, of resamples, and without each picture.

    Args:
        metric: from sums over pictures, shape (n, ...), to metrics of shape (n, ...); NaN where undefined.
        counts: whole numbers, shape (pictures, ...), their sums below 2^53: sums are exact in whatever order.
        resamples: their number.
        seed: the same one draws the same pictures of as many.
    """
    exact = counts.astype(np.float64)
    total, flat = exact.sum(axis=0), exact.reshape(len(exact), -1)
    blocks = [
        metric((weights @ flat).reshape(-1, *counts.shape[1:]))
        for weights in resample_weights(len(counts), resamples, seed)
    ]
    return Draws(metric(total[np.newaxis])[0], np.concatenate(blocks), metric(total - exact))


def estimate(metric: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, bootstrap: Bootstrap) -> Estimates:
    """Compute metrics, shape (n, metrics), of all pictures as `draws` does, and the BCa interval of each.

    Returns:
        Arrays of shape (metrics,). Ends are NaN where the metric is undefined in all draws, or without one of the
        pictures, such as the IoU of a class that a single one holds; see `bca_interval`.
    """
    values, drawn, left_out = draws(metric, counts, resamples=bootstrap.resamples, seed=bootstrap.seed)
    ends = np.full((2, len(values)), np.nan)
    for place in np.flatnonzero(~np.isnan(values) & ~np.isnan(drawn).all(axis=0)):
        ends[:, place] = bca_interval(float(values[place]), drawn[:, place], left_out[:, place], bootstrap.confidence)
    return Estimates(values, *ends)


def resample_weights(pictures: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of weights, (at most BLOCK, pictures): how often each picture is in a resample."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK):
        rows = min(BLOCK, resamples - start)
        drawn = generator.integers(0, pictures, (rows, pictures)) + np.arange(rows)[:, None] * pictures
        yield np.bincount(drawn.ravel(), minlength=rows * pictures).reshape(rows, pictures).astype(np.float64)


def bca_interval(estimate: float, resampled: np.ndarray, jackknife: np.ndarray, confidence: float) -> Interval:
    """Return the BCa interval of a statistic, of the parts of `Draws`; a NaN (no ground truth drawn) is left out.

    Where all resamples lie on one side of the estimate, so that its bias has no finite measure, it is the percentile
    interval: (0, 0) for the difference of two systems that agree everywhere. Its ends are NaN where the statistic is
    undefined without one of the pictures: it hangs on that picture alone, and drawing it more or less often says
    nothing of what others would give.
    """
    if np.isnan(jackknife).any():
        return Interval(np.nan, np.nan)
    resampled = resampled[~np.isnan(resampled)]
    tails = np.array([1 - confidence, 1 + confidence]) / 2
    below = _share_below(resampled, estimate)
    if 0 < below < 1:
        bias = ndtri(below)
        normal = bias + ndtri(tails)
        tails = ndtr(bias + normal / (1 - _acceleration(jackknife) * normal))
    low, high = np.quantile(resampled, tails)
    return Interval(float(low), float(high))


def bca_p_value(estimate: float, resampled: np.ndarray, jackknife: np.ndarray) -> float:
    """Return the two-sided p-value of "it is zero": one minus the confidence at which an end of `bca_interval` is 0.

    Many comparisons at once need p-values far below one in the number of draws. Where fewer than `TAIL` draws lie
    beyond zero, their share says little, and the tail of the normal distribution with the draws' mean and deviation
    stands in for it.

    Returns:
        In [0, 1]; NaN where there is no interval; 1 where two systems agree in all resamples.
    """
    if np.isnan(jackknife).any():
        return np.nan
    resampled = resampled[~np.isnan(resampled)]
    deviation = resampled.std()
    if not deviation:
        return float(estimate == 0)
    share = _share_below(resampled, 0.0)
    beyond = min(share, 1 - share) * len(resampled)
    zero = ndtri(share) if beyond >= TAIL else -resampled.mean() / deviation
    below = _share_below(resampled, estimate)
    bias = ndtri(below) if 0 < below < 1 else 0.0
    scale = 1 + _acceleration(jackknife) * (zero - bias)
    # Beyond this point the acceleration's correction turns around, and stands for no probability any more.
    normal = (zero - bias) / scale - bias if scale > 0 else np.sign(zero - bias) * np.inf
    return float(2 * ndtr(-abs(normal)))


def _share_below(resampled: np.ndarray, value: float) -> float:
    """Return the share of the draws below a value; those that equal it count half."""
    return float(((resampled < value).mean() + (resampled <= value).mean()) / 2)


def _acceleration(jackknife: np.ndarray) -> float:
    """Return how fast the statistic's standard error changes with it: a sixth of the influences' skewness."""
    influence = jackknife.mean() - jackknife
    spread = (influence**2).sum() ** 1.5
    return float((influence**3).sum() / (6 * spread)) if spread else 0.0
