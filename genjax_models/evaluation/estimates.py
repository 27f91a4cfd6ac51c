"""A figure with its standard error, and the numbers of samples and data on which it rests."""

import math
from typing import NamedTuple

import numpy as np

from genjax_models.types import Array

GROUPS = 20  # of the jackknife: enough to know its own error to 16%


class Estimate(NamedTuple):
    """A value and its standard error (nan if none is known), of `n` examples or samples, and `m` examples of data."""

    value: float
    standard_error: float
    n: int
    m: int | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Two standard errors either way: about 95%, of the value's own expectation at these n and m."""
        return self.value - 2 * self.standard_error, self.value + 2 * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:.2f} +- {self.standard_error:.2f}"

    def in_full(self) -> str:
        """Returns value, error, interval and numbers in words."""
        low, high = self.interval
        error = "" if math.isnan(low) else f" +- {self.standard_error:.2g}, 95% from {low:.3g} to {high:.3g}"
        data = "" if self.m is None else f", {self.m:,} data"
        return f"{self.value:.4g}{error} ({self.n:,} samples{data})"


def estimate(values: Array) -> Estimate:
    """Returns mean and standard error, sd / sqrt(n), of `values` `[n]`, summed in float64.

    Raises:
      ValueError: the values are no vector, or there are none.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"values must be [n] with n at least 1, got the shape {values.shape}")
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Estimate(float(np.mean(values)), error, values.size)


def jackknife_error(without: Array) -> Array:
    """Returns the standard error of a figure from its values `[groups, ...]` without one group of rows each.

    sqrt((G - 1) / G sum_g (t_g - mean t)^2); group g has the rows i with i mod G = g, of samples and of data at once.
    Terms of order 1/n in the figure's bias drop out. The error is too large rather than too small (Efron and Stein,
    1981).
    """
    return ((len(without) - 1) * without.var(axis=0)) ** 0.5
