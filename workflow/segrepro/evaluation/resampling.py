"""Bootstrap intervals over pictures, of anything that is made of sums over pictures.

Pictures are drawn with replacement, as many as there are, and the metric is computed of each draw's sums: the
percentile interval of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. Pictures are what
is drawn at random, not pixels or objects, which are alike within a picture.
"""

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95


def resampled_sums(counts: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Sum up the pictures of every draw.

    Args:
        counts: whole numbers, shape (pictures, ...), their sum below 2^53: so the sums are exact, in whatever order
            a library adds them up.
        resamples: number of draws.
        seed: of the draws; with equal seeds and numbers of pictures, two systems get the same draws.

    Returns:
        float64, shape (resamples, ...).
    """
    pictures = len(counts)
    times = np.random.default_rng(seed).multinomial(pictures, np.full(pictures, 1 / pictures), size=resamples)
    flat = counts.reshape(pictures, -1)
    occurring = flat.any(axis=0)  # most classes are in no range of sizes: no need to add up their zeros
    sums = np.zeros((resamples, flat.shape[1]))
    sums[:, occurring] = times.astype(np.float64) @ flat[:, occurring].astype(np.float64)
    return sums.reshape(resamples, *counts.shape[1:])


def interval(values: np.ndarray, *, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of a metric over draws, of those draws in which it is defined.

    Args:
        values: shape (resamples, ...); NaN where a draw has nothing to count.
        confidence: of the interval, 0..1.

    Returns:
        (low, high), each of shape (...); NaN where no draw has anything.
    """
    flat = values.reshape(len(values), -1)
    tails = [100 * (1 - confidence) / 2, 100 * (1 + confidence) / 2]
    bounds = np.full((2, flat.shape[1]), np.nan)
    for column in np.flatnonzero(~np.isnan(flat).all(axis=0)):
        defined = flat[:, column]
        bounds[:, column] = np.percentile(defined[~np.isnan(defined)], tails)
    low, high = bounds.reshape(2, *values.shape[1:])
    return low, high
