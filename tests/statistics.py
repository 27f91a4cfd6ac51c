"""Tests of random estimates: seeds are fixed, and five standard errors are one false alarm in 1.7 million."""

import numpy as np
from scipy import stats

STANDARD_ERRORS = 5


def assert_mean(samples, expected, *, float_error: float = 1e-4) -> None:
    """The mean of independent `samples` `[n, ...]` is `expected` `[...]`, each entry within five standard errors."""
    samples = np.asarray(samples, np.float64)
    error = STANDARD_ERRORS * samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - np.asarray(expected)), error + float_error)


def assert_drawn_from(codes, probabilities) -> None:
    """Independent integers `codes` `[n]` have these probabilities `[m]`: a chi-square test at 6e-7."""
    codes, expected = np.asarray(codes), len(codes) * np.asarray(probabilities, np.float64)
    counts = np.bincount(codes, minlength=len(expected))
    statistic = np.sum((counts - expected) ** 2 / expected)
    assert statistic < stats.chi2.isf(6e-7, len(expected) - 1), statistic
