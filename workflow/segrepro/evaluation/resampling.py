"""Bootstrap intervals over pictures of any metrics that are made of sums over pictures; see `bootstrap`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segrepro.config.tables import Bootstrap
from segrepro.evaluation.bootstrap import bca_interval, draws


@dataclass(frozen=True)
class Estimates:
    """Metrics and the ends of their intervals: arrays of one shape, NaN where undefined.

    One number that is kept in a file is a `segrepro.evaluation.statistics.Estimate`.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def at(self, place: int | slice) -> "Estimates":
        """Return those of one of the metrics, or of some."""
        return Estimates(self.value[place], self.low[place], self.high[place])


def estimate(metric: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, bootstrap: Bootstrap) -> Estimates:
    """Compute metrics of all pictures, and the BCa interval of each.

    Args:
        metric: as of `draws`, to metrics of shape (n, metrics).
        counts: as of `draws`.
        bootstrap: how intervals are made; with equal settings and numbers of pictures, two systems get the same draws.

    Returns:
        Arrays of shape (metrics,). Ends are NaN where the metric is undefined in all draws, or without one of the
        pictures, such as the IoU of a class that a single one holds; see `bca_interval`.
    """
    values, drawn, left_out = draws(metric, counts, resamples=bootstrap.resamples, seed=bootstrap.seed)
    ends = np.full((2, len(values)), np.nan)
    for place in np.flatnonzero(~np.isnan(values) & ~np.isnan(drawn).all(axis=0)):
        ends[:, place] = bca_interval(float(values[place]), drawn[:, place], left_out[:, place], bootstrap.confidence)
    return Estimates(values, *ends)
