"""Tests of random estimates: seeds are fixed, and five standard errors are one false alarm in 1.7 million."""

import numpy as np

STANDARD_ERRORS = 5


def assert_mean(samples, expected, *, float_error: float = 1e-4) -> None:
    """The mean of independent `samples` `[n, ...]` is `expected` `[...]`, each entry within five standard errors."""
    samples = np.asarray(samples, np.float64)
    error = STANDARD_ERRORS * samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - np.asarray(expected)), error + float_error)
