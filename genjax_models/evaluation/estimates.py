"""A figure with its standard error, and the numbers of samples and data behind it."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

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


class OfRuns(Estimate):
    """The mean of independent runs; `n` is their number. See `over_runs`."""

    __slots__ = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Returns the 95% interval of Student's t with n - 1 degrees of freedom."""
        half = float(stdtrit(self.n - 1, 0.975)) * self.standard_error if self.n > 1 else math.nan
        return self.value - half, self.value + half


def over_runs(values: Array) -> OfRuns:
    """Returns the mean of one number per run `[n]`, with its standard error and Student's interval."""
    return OfRuns(*estimate(np.asarray(values, np.float64)))


class Limited(Estimate):
    """An estimate of a number that has limits. See `limited`."""

    limits: tuple[float, float] = (-math.inf, math.inf)

    @property
    def interval(self) -> tuple[float, float]:
        """Returns value minus and plus two standard errors, cut at the limits."""
        low, high = super().interval
        return float(np.clip(low, *self.limits)), float(np.clip(high, *self.limits))


def limited(estimate: Estimate, least: float, greatest: float = math.inf) -> Limited:
    """Returns an estimate of a number that cannot be below `least` or above `greatest`, such as a distance."""
    result = Limited(*estimate)
    result.limits = (least, greatest)
    return result


class Share(Estimate):
    """An estimate of a share, in [0, 1]: its interval never leaves this range, and never has length 0. See `share`."""

    __slots__ = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Returns the interval of Wilson (1927) at two standard errors, about 95%.

        It has the number of independent trials n that gives the standard error: p (1 - p) / n = standard_error^2. A
        share of 0 or 1 has the interval of n trials, n the smaller of the numbers of samples and data. If its standard
        error is larger than theirs, the interval contains value minus and plus two standard errors.
        """
        if math.isnan(self.standard_error):
            return math.nan, math.nan
        p, trials = min(max(self.value, 0.0), 1.0), _fewest(self.n, self.m)
        variance = p * (1 - p)
        if variance and self.standard_error:
            trials = variance / self.standard_error**2
        middle, shrunk = p + 2 / trials, 1 / (1 + 4 / trials)
        half = 2 * math.sqrt(variance / trials + 1 / trials**2)
        low, high = shrunk * (middle - half), shrunk * (middle + half)
        if not variance and self.standard_error > _add_half_error(p, trials):
            low, high = min(low, p - 2 * self.standard_error), max(high, p + 2 * self.standard_error)
        return max(low, 0.0), min(high, 1.0)


def share(value: float, standard_error: float, n: int, m: int | None = None) -> Share:
    """Returns a share with its standard error; a standard error of 0 becomes the one of half a trial more of each kind.

    If all trials, or none, have succeeded, the standard error by the usual formulas is 0. Half a success and half a
    failure in addition give p' = (n p + 1/2) / (n + 1), and the error sqrt(p' (1 - p') / n): Agresti and Coull (1998).
    """
    return Share(value, standard_error or _add_half_error(value, _fewest(n, m)), n, m)


def _add_half_error(share: float, trials: float) -> float:
    p = (trials * share + 0.5) / (trials + 1)
    return math.sqrt(p * (1 - p) / trials)


def _fewest(n: int, m: int | None) -> int:
    return n if m is None else min(n, m)


def estimate(values: Array) -> Estimate:
    """Returns mean and standard error, sd / sqrt(n), of `values` `[n]`, summed in float64.

    Values of type bool are trials: the result is their `share`, with the standard error sqrt(p (1 - p) / n).

    Raises:
      ValueError: `values` is not a vector, or is empty.
    """
    trials, values = np.asarray(values).dtype == bool, np.asarray(values, np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"`values` must be [n] with n at least 1, got shape {values.shape}")
    if trials:
        return share(float(np.mean(values)), float(np.std(values)) / math.sqrt(values.size), values.size)
    error = float(np.std(values, ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Estimate(float(np.mean(values)), error, values.size)


def jackknife_error(without: Array) -> Array:
    """Returns the jackknife's standard error of a figure from its values `[groups, ...]` without each group of rows.

        sqrt((G - 1) / G sum_g (t_g - mean t)^2)

    Group g has the rows i with i mod G = g, of samples and of data. Terms of order 1/n in the figure's bias cancel. The
    error is too large rather than too small (Efron and Stein, 1981).
    """
    return ((len(without) - 1) * without.var(axis=0)) ** 0.5
