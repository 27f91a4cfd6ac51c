"""How well one code, or all codes together, predict a factor by a linear reader: R^2, and the SAP score."""

from typing import NamedTuple

import numpy as np

from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.known_factors import RESAMPLES, bootstrap_errors, bootstrapped, known_factors
from genjax_models.evaluation.scikit_learn import scikit_learn
from genjax_models.types import Array


class Readings(NamedTuple):
    """R^2 of linear readers of the factors, with standard errors of the bootstrap; nan for inactive dimensions.

    Attributes:
      one_code: R^2 of each factor read from one dimension, `[d, f]`.
      one_code_error: its standard error, `[d, f]`.
      all_codes: R^2 of each factor read from all active dimensions together, `[f]`, on rows that the reader did not
        see.
      all_codes_error: its standard error, `[f]`.
      active: which dimensions are active, `[d]`.
    """

    one_code: np.ndarray
    one_code_error: np.ndarray
    all_codes: np.ndarray
    all_codes_error: np.ndarray
    active: np.ndarray


def squared_correlations(codes: Array, factors: Array) -> np.ndarray:
    """Returns the squared correlation of each code with each factor, `[d, f]`: R^2 of the factor read from one code.

    A constant code or factor has 0.

    Args:
      codes: `[n, d]`.
      factors: `[n, f]`.
    """
    z, v = (np.asarray(a, np.float64) - np.mean(a, axis=0, dtype=np.float64) for a in (codes, factors))
    variances = (z**2).sum(axis=0)[:, None] * (v**2).sum(axis=0)
    return np.where(variances > 0, (z.T @ v) ** 2 / np.where(variances > 0, variances, 1), 0.0)


def linear_readings(
    codes: Array, factors: Array, *, active: Array | None = None, resamples: int = RESAMPLES
) -> Readings:
    """Returns R^2 of every factor, read from one code and from all codes.

    A factor that all codes together give, and no code alone, is known but not disentangled. R^2 of one code is
    `squared_correlations`. The reader of all codes is fitted by least squares to the even rows, and judged on the odd.

    Args:
      codes: `[n, d]`.
      factors: `[n, f]`; discrete factors are read as numbers.
      active: which dimensions are active; see `known_factors`.
      resamples: draws of the bootstrap.

    Raises:
      ValueError: as `known_factors`, or fewer than 2 (d + 1) rows.
    """
    known = known_factors(codes, factors, active=active)
    z, v = known.codes, known.factors
    if len(z) < 2 * (z.shape[1] + 1):
        raise ValueError(f"codes must have at least {2 * (z.shape[1] + 1)} rows for a linear reader, got {len(z)}")
    design = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    held_out, read = v[1::2], design[1::2] @ np.linalg.lstsq(design[::2], v[::2], rcond=None)[0]
    return Readings(
        _spread_out(squared_correlations(z, v), known.active),
        _spread_out(bootstrap_errors(squared_correlations, z, v, resamples=resamples), known.active),
        _explained(read, held_out),
        bootstrap_errors(_explained, read, held_out, resamples=resamples),
        known.active,
    )


def separated_attribute_predictability(
    codes: Array,
    factors: Array,
    *,
    active: Array | None = None,
    discrete: Array | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Returns SAP: the gap of the two codes that predict a factor best, mean over factors (Kumar et al., 2018).

    The prediction of a continuous factor is judged by R^2 of one code. A discrete factor is predicted by a linear
    support vector machine on one code, fitted to the even rows; its score is the accuracy on the odd rows. These are
    the settings of disentanglement_lib, which takes two sets of examples in place of the halves, and one kind for all
    factors. The second best of one active dimension is 0.

    Args:
      codes: `[n, d]`.
      factors: `[n, f]`.
      active: which dimensions are active; see `known_factors`.
      discrete: which factors are classes. Default: none. Ordered numbers, such as sizes, are read better as numbers.
      resamples: draws of the bootstrap; classifiers are not fitted again.

    Raises:
      InputError: a factor is discrete, and scikit-learn is not installed.
      ValueError: as `known_factors`.
    """
    discrete = np.zeros(np.shape(factors)[-1:], bool) if discrete is None else discrete
    known = known_factors(codes, factors, active=active, discrete=discrete)
    z, v, classes = known.codes, known.factors, known.discrete
    right = np.full((len(z), z.shape[1], int(classes.sum())), np.nan)
    for i, factor in enumerate(v[:, classes].T):
        right[1::2, :, i] = _predicted_right(z, factor)

    def score(z: np.ndarray, v: np.ndarray, right: np.ndarray) -> float:
        scores = squared_correlations(z, v)
        scores[:, classes] = np.nanmean(right, axis=0)
        second, first = np.sort(np.pad(scores, ((1, 0), (0, 0))), axis=0)[-2:]
        return float(np.mean(first - second))

    return bootstrapped(score, z, v, right, resamples=resamples)


def _predicted_right(codes: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Returns whether a classifier of each code alone names the factor of each odd row, `[n // 2, d]`."""
    reader = lambda: scikit_learn("svm", "classifiers of codes").LinearSVC(C=0.01, class_weight="balanced")
    return np.stack(
        [reader().fit(code[::2, None], factor[::2]).predict(code[1::2, None]) == factor[1::2] for code in codes.T],
        axis=1,
    )


def _explained(read: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Returns R^2 = 1 - squared error / variance of each column, `[f]`; below 0 if the mean is a better reader."""
    residual, spread = ((a**2).sum(axis=0) for a in (factors - read, factors - factors.mean(axis=0)))
    return 1 - residual / np.where(spread > 0, spread, 1)


def _spread_out(rows: np.ndarray, active: np.ndarray) -> np.ndarray:
    """Returns rows of active dimensions `[number of active dimensions, f]` as `[d, f]`, nan for inactive dimensions."""
    result = np.full((len(active), rows.shape[1]), np.nan)
    result[active] = rows
    return result
