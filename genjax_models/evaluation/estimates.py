"""A figure with its standard error, and the numbers of samples and data behind it."""

import math
from typing import NamedTuple

import numpy as np

from genjax_models.types import Array

GROUPS = 20  # groups of the jackknife: its error is then known to 16%


class Estimate(NamedTuple):
    """A value with its standard error.

    Attributes:
      value: the figure.
      standard_error: its standard error; nan if it is unknown.
      n: number of examples or samples.
      m: number of examples of data, if the figure compares samples with data.
    """

    value: float
    standard_error: float
    n: int
    m: int | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Returns value minus and plus two standard errors: about 95%, for the expectation at these n and m."""
        return self.value - 2 * self.standard_error, self.value + 2 * self.standard_error

    def __str__(self) -> str:
        return f"{self.value:.2f} +- {self.standard_error:.2f}"

    def in_full(self) -> str:
        """Returns value, error, interval and numbers of samples and data as text."""
        low, high = self.interval
        error = "" if math.isnan(low) else f" +- {self.standard_error:.2g}, 95% from {low:.3g} to {high:.3g}"
        data = "" if self.m is None else f", {self.m:,} data"
        return f"{self.value:.4g}{error} ({self.n:,} samples{data})"


def estimate(values: Array) -> Estimate:
    """Returns mean and standard error, sd / sqrt(n), of `values` `[n]`, summed in float64.

    Raises:
      ValueError: `values` is not a vector, or is empty.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"`values` must be [n] with n at least 1, got shape {values.shape}")
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Estimate(float(np.mean(values)), error, values.size)


def jackknife_error(without: Array) -> Array:
    """Returns the jackknife's standard error of a figure from its values `[groups, ...]` without each group of rows.

        sqrt((G - 1) / G sum_g (t_g - mean t)^2)

    Group g has the rows i with i mod G = g, of samples and of data. Terms of order 1/n in the figure's bias cancel. The
    error is too large rather than too small (Efron and Stein, 1981).
    """
    return ((len(without) - 1) * without.var(axis=0)) ** 0.5
