"""A mean and how far it can be trusted."""

import math
from typing import NamedTuple

import numpy as np

from genjax_models.types import Array


class Estimate(NamedTuple):
    """The mean over n examples and its standard error (nan for one example)."""

    mean: float
    standard_error: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.2f} +- {self.standard_error:.2f}"


def estimate(values: Array) -> Estimate:
    """Mean and standard error, sd / sqrt(n), of `values` `[n]`, summed in float64."""
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"an estimate is of values [n], n at least 1; got the shape {values.shape}")
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Estimate(float(np.mean(values)), error, values.size)
