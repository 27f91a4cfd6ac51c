"""A figure about samples, how far it can be trusted, and on how many it rests."""

import math
from typing import NamedTuple

from genjax_models.types import Array

GROUPS = 20  # of the jackknife: enough to know its own error to 16%


class Score(NamedTuple):
    """`value` with its `standard_error` (nan where none is known), of `n` samples beside `m` examples of data."""

    value: float
    standard_error: float
    n: int
    m: int | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Two standard errors either way: about 95%, of the value's own expectation at these n and m."""
        return self.value - 2 * self.standard_error, self.value + 2 * self.standard_error

    def __str__(self) -> str:
        low, high = self.interval
        error = "" if math.isnan(low) else f" +- {self.standard_error:.2g}, 95% from {low:.3g} to {high:.3g}"
        data = "" if self.m is None else f", {self.m:,} data"
        return f"{self.value:.4g}{error} ({self.n:,} samples{data})"


def jackknife_error(without: Array) -> Array:
    """The standard error of a figure from its values `[groups, ...]` without one group of the rows each.

    sqrt((G - 1) / G sum_g (t_g - mean t)^2), group g being the rows i with i mod G = g, of samples and of data at once.
    What is of order 1/n in the figure's bias drops out, and by Efron and Stein (1981) it errs on the side of caution.
    """
    return ((len(without) - 1) * without.var(axis=0)) ** 0.5
