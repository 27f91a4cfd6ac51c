"""Both sides of the benchmark of judging that compare samples with data: distances, coverage and the MMD's test."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import genjax_models as gx
from genjax_models.evaluation.frechet_distance import frechet_distance
from genjax_models.evaluation.kernel_distance import kernel_distance

NEIGHBOURS = 5
TESTED, TESTED_FEATURES, SHIFT, PERMUTATIONS = 200, 10, 0.1, 499
KERNEL = {"kid_kernel": "poly", "kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}


def features(points: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features of samples and of data, `[points, size]`: not negative, and correlated as a network's are."""
    random = np.random.default_rng(0)
    mix = random.normal(size=(size, size)) / size**0.5
    draw = lambda scale, shift: np.maximum(random.normal(size=(points, size)) @ mix * scale + shift, 0)
    return draw(1.02, 0.02).astype(np.float32), draw(1.0, 0.0).astype(np.float32)


def pair_of_samples() -> tuple[np.ndarray, np.ndarray]:
    """Returns two samples `[200, 10]` whose means differ by so little that a test is uncertain."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, TESTED, TESTED_FEATURES)).astype(np.float32)
    return x, y + np.float32(SHIFT)


# The library


def our_frechet(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns the Fréchet distance and its standard error."""
    value, error = frechet_distance(x, y)
    return float(value), float(error)


def our_kernel(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Returns the kernel distance and its standard error."""
    value, error = kernel_distance(x, y)
    return float(value), float(error)


def our_coverage(x: np.ndarray, y: np.ndarray) -> dict[str, tuple[float, float]]:
    """Returns precision, recall, density and coverage, each with its standard error."""
    figures = gx.manifold_coverage(x, y, neighbours=NEIGHBOURS)
    return {name: (figure.value, figure.standard_error) for name, figure in figures.items()}


def our_test(x: np.ndarray, y: np.ndarray) -> Callable[[], tuple[float, float]]:
    """Returns MMD^2 and the p-value; a bandwidth compiles once, as for data of one kind."""
    import jax

    kernel = gx.gaussian_kernel(float(gx.median_bandwidth(x, y)))

    def test() -> tuple[float, float]:
        gx.median_bandwidth(x, y)  # the peer computes it too
        result = gx.two_sample_test(jax.random.key(0), x, y, kernel, num_permutations=PERMUTATIONS)
        return float(result.mmd_squared), float(result.p_value)

    return test


# The peers


def fidelity() -> Any:
    """Returns torch-fidelity's modules of metrics, which take features and download nothing.

    torch-fidelity imports torchvision, and torchvision's wheel on package indices needs operators that a torch for CPUs
    alone does not have. The metrics use none of them, so it is enough that they have names.
    """
    import torch

    if not torch.version.cuda:
        for name in ("nms", "qnms"):
            with contextlib.suppress(RuntimeError):  # it has the name already
                torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou) -> Tensor")
    from torch_fidelity import metric_fid, metric_kid

    return metric_fid, metric_kid


def fidelity_frechet(x: np.ndarray, y: np.ndarray) -> Callable[[], float]:
    """Returns torch-fidelity's FID of features."""
    import torch

    fid, _ = fidelity()
    samples, data = torch.tensor(x), torch.tensor(y)

    def distance() -> float:
        statistics = (fid.fid_features_to_statistics(z) for z in (samples, data))
        return fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]

    return distance


def fidelity_kernel(x: np.ndarray, y: np.ndarray, subsets: int, size: int) -> Callable[[], float]:
    """Returns torch-fidelity's KID of features, its mean over random subsets; one of all points is the whole MMD."""
    import torch

    _, kid = fidelity()
    options = KERNEL | {"kid_subsets": subsets, "kid_subset_size": size, "rng_seed": 0, "verbose": False}
    samples, data = torch.tensor(x), torch.tensor(y)
    return lambda: kid.kid_features_to_metric(samples, data, **options)["kernel_inception_distance_mean"]


def prdc(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Returns the four figures of the package prdc, which prints the numbers of points."""
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return compute_prdc(y, x, NEIGHBOURS)


def hyppo_test(x: np.ndarray, y: np.ndarray) -> float:
    """Returns hyppo's p-value, with the same kernel: its statistic is another multiple of the MMD."""
    from hyppo.ksample import MMD

    return MMD().test(x, y, reps=PERMUTATIONS, auto=False)[1]


def torch_test(x: np.ndarray, y: np.ndarray) -> Callable[[], tuple[float, float]]:
    """Returns MMD^2 and the p-value by hand: one Gram matrix, and one product with the labels of all permutations."""
    import torch

    a, b = torch.tensor(x), torch.tensor(y)
    n, m = len(a), len(b)

    def test() -> tuple[float, float]:
        z = torch.cat([a, b])
        squared = ((z**2).sum(1)[:, None] + (z**2).sum(1) - 2 * z @ z.T).clamp(min=0)
        median = squared[torch.triu(torch.ones_like(squared), 1) > 0].sqrt().median()
        gram = (squared / (-2 * median**2)).exp().fill_diagonal_(0)
        labels = (torch.arange(n + m) < n).float()
        shuffled = [labels[torch.randperm(n + m)] for _ in range(PERMUTATIONS)]
        of_x = torch.stack([labels, *shuffled], dim=1)
        with_x, with_all = gram @ of_x, gram.sum(1, keepdim=True)
        xx, xy = (of_x * with_x).sum(0), ((1 - of_x) * with_x).sum(0)
        yy = with_all.sum() - xx - 2 * xy
        statistics = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
        count = (statistics[1:] >= statistics[0]).sum()
        return float(statistics[0]), float((1 + count) / (1 + PERMUTATIONS))

    return test


# Equality


def assert_same(name: str, ours: float, theirs: float, tolerance: float) -> str:
    """Returns the relative difference of two figures as text.

    Raises:
      ArithmeticError: it is above the tolerance.
    """
    difference = abs(theirs - ours) / abs(ours)
    if not difference <= tolerance:
        raise ArithmeticError(f"{name} must agree to {tolerance:.0e}, got {ours} and {theirs}")
    return f"{name} {ours:.6g}: within {difference:.1e}"


def assert_same_kernel_distance(x: np.ndarray, y: np.ndarray, ours: float, theirs: float) -> str:
    """Compares whole MMDs: torch-fidelity sums float32 values near 1, so only in float64 does it keep 5 digits."""
    few = min(2_000, len(x))
    x, y = x[:few], y[:few]
    exact = fidelity_kernel(x.astype(np.float64), y.astype(np.float64), 1, few)()
    return (
        assert_same("kernel distance", ours, theirs, 1e-2)
        + "; "
        + assert_same(f"of {few:,} + {few:,} in float64", our_kernel(x, y)[0], exact, 1e-3)
    )


def assert_same_coverage(ours: Mapping[str, tuple[float, float]], theirs: Mapping[str, float]) -> str:
    """Compares the four figures, which count points: rounding may move one of them across the border of a ball."""
    return "; ".join(assert_same(name, value, float(theirs[name]), 1e-3) for name, (value, _) in ours.items())


def assert_same_test(ours: tuple[float, float], by_hand: tuple[float, float], of_hyppo: float) -> str:
    """Compares MMD^2 of both sides, and p-values: their permutations differ.

    Raises:
      ArithmeticError: MMD^2 differs by more than 1e-3, or a p-value by more than 5 standard errors.
    """
    (mmd, p), (mmd_by_hand, p_by_hand) = ours, by_hand
    error = math.sqrt(2 * max(p * (1 - p), 1 / PERMUTATIONS) / PERMUTATIONS)
    if not all(abs(q - p) < 5 * error for q in (p_by_hand, of_hyppo)):
        raise ArithmeticError(f"p-values must agree to 5 x {error:.2g}, got {p}, {p_by_hand} and {of_hyppo}")
    same = assert_same("MMD^2", mmd, mmd_by_hand, 1e-3)
    return f"{same}; p-values {p:.3f}, by hand {p_by_hand:.3f}, hyppo {of_hyppo:.3f}"
