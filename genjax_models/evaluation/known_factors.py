"""Codes and their known factors of variation: checks, active dimensions, and errors by the bootstrap."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.latents import ACTIVITY_THRESHOLD
from genjax_models.types import Array

RESAMPLES = 100  # of the bootstrap: its standard error is then known to 7%


class Known(NamedTuple):
    """Checked codes and factors of the same n examples.

    Attributes:
      codes: codes of the active dimensions, `[n, number of active dimensions]`, float64.
      factors: known factors, `[n, f]`, float64.
      active: which dimensions of the codes are active, bool `[d]`.
      discrete: which factors are discrete, bool `[f]`.
    """

    codes: np.ndarray
    factors: np.ndarray
    active: np.ndarray
    discrete: np.ndarray


def known_factors(codes: Array, factors: Array, *, active: Array | None = None, discrete: Array | None = None) -> Known:
    """Returns codes and factors after checks, without inactive dimensions.

    An unused dimension still correlates with factors by chance, so that it is no part of any figure.

    Args:
      codes: posterior means, `[n, d]`, d at least 2.
      factors: known factors, `[n, f]`.
      active: which dimensions are active, `[d]`. Default: those whose codes have a variance above 0.01
        (Burda et al., 2015).
      discrete: which factors are discrete, `[f]`. Default: those whose values are all integers.

    Raises:
      ValueError: shapes do not fit, a number is not finite, a factor is constant, a continuous factor is called
        discrete, d is below 2, or no dimension is active.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors, np.float64)
    if codes.ndim != 2 or not len(codes):
        raise ValueError(f"codes must be [n, d] with n at least 1, got shape {codes.shape}")
    if codes.shape[1] < 2:
        raise ValueError(f"codes must have at least 2 dimensions, got {codes.shape[1]}")
    if factors.ndim != 2 or len(factors) != len(codes) or not factors.shape[1]:
        raise ValueError(f"factors must be [{len(codes)}, f], a row per code, got shape {factors.shape}")
    for name, values in (("codes", codes), ("factors", factors)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got {values[~np.isfinite(values)][0]}")
    constant = factors.min(axis=0) == factors.max(axis=0)
    if constant.any():
        k = int(np.argmax(constant))
        raise ValueError(f"factors must vary, got {factors[0, k]:g} in every row of factor {k}: its entropy is 0")
    whole = (factors == np.rint(factors)).all(axis=0)
    classes = whole if discrete is None else np.asarray(discrete, bool)
    if classes.shape != whole.shape:
        raise ValueError(f"discrete must have a value per factor, {len(whole)}, got shape {classes.shape}")
    if (classes & ~whole).any():
        k = int(np.argmax(classes & ~whole))
        raise ValueError(f"factor {k} must be integers for a classifier, got continuous values. Use a regressor")
    used = codes.var(axis=0) > ACTIVITY_THRESHOLD if active is None else np.asarray(active, bool)
    if used.shape != codes.shape[1:]:
        raise ValueError(f"active must have a value per dimension, {codes.shape[1]}, got shape {used.shape}")
    if not used.any():
        raise ValueError(
            f"codes must have an active dimension, got {codes.shape[1]} inactive dimensions: the variance of each"
            f" is at most {ACTIVITY_THRESHOLD}"
        )
    return Known(codes[:, used], factors, used, classes)


def bootstrapped(figure: Callable[..., float], *arrays: Array, resamples: int = RESAMPLES) -> Estimate:
    """Returns figure(*arrays) with its `bootstrap_errors`; `arrays` are `[n, ...]`."""
    errors = bootstrap_errors(figure, *arrays, resamples=resamples)
    return Estimate(float(figure(*arrays)), float(errors), len(arrays[0]))


def bootstrap_errors(figure: Callable[..., Array], *arrays: Array, resamples: int = RESAMPLES) -> np.ndarray:
    """Returns the bootstrap's standard error of each number of figure(*arrays) (Efron, 1979).

    It is the standard deviation over `resamples` draws of n rows with replacement, the same rows of all arrays. The
    draws have a fixed seed.

    Args:
      figure: a function of arrays whose rows are examples.
      *arrays: `[n, ...]` each.
      resamples: number of draws; below 2 the error is unknown (nan).
    """
    n, random = len(arrays[0]), np.random.RandomState(0)
    if resamples < 2:
        return np.full(np.shape(figure(*arrays)), math.nan)
    rows = (random.randint(n, size=n) for _ in range(resamples))
    return np.std([figure(*(array[some] for array in arrays)) for some in rows], axis=0, ddof=1)
