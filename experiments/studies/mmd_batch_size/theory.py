"""Exact MMDs of Gaussians in the plane, and the bias of the biased estimator. Imports no jax."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

DIMENSIONS = 2
_DATA, _NO_SHIFT = np.eye(DIMENSIONS), np.zeros(DIMENSIONS)  # x ~ N(0, I)


def mean_kernel(bandwidth: float, shift: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns E k(x, y) for x - y ~ N(shift `[..., 2]`, covariance `[..., 2, 2]`): a Gaussian integral."""
    wide = bandwidth**2 * np.eye(DIMENSIONS) + covariance
    distance = np.einsum("...i,...ij,...j", shift, np.linalg.inv(wide), shift)
    return bandwidth**DIMENSIONS / np.sqrt(np.linalg.det(wide)) * np.exp(-distance / 2)


def exact(bandwidth: float, shift: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Returns MMD^2 of N(0, I) and N(shift, covariance), `[...]`."""
    within = mean_kernel(bandwidth, _NO_SHIFT, 2 * _DATA) + mean_kernel(bandwidth, _NO_SHIFT, 2 * covariance)
    return within - 2 * mean_kernel(bandwidth, shift, _DATA + covariance)


def expected_bias(bandwidth: float, n: int, covariance: np.ndarray) -> np.ndarray:
    """Returns the bias of the biased estimator of n + n points: (1 - E k(x, x') + 1 - E k(y, y')) / n."""
    return sum(1 - mean_kernel(bandwidth, _NO_SHIFT, 2 * c) for c in (_DATA, covariance)) / n


def preferred_variance(bandwidth: float, n: int) -> float:
    """Returns the variance of samples that minimises the expected biased MMD^2; the data have variance 1."""

    def expectation(variance):
        covariance = variance * np.eye(DIMENSIONS)
        return exact(bandwidth, _NO_SHIFT, covariance) + expected_bias(bandwidth, n, covariance)

    return float(minimize_scalar(expectation, bounds=(0, 1), method="bounded").x)


def mean_variance(covariance: np.ndarray) -> np.ndarray:
    """Returns the mean variance of a coordinate, `[...]`; the data have 1."""
    return np.trace(covariance, axis1=-2, axis2=-1) / DIMENSIONS
