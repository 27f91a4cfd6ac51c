"""Measurements at each batch size, and their table."""

from collections.abc import Mapping
from typing import NamedTuple, get_args

import numpy as np

from experiments.studies.mmd_batch_size.learning import Estimator, estimates, learn, seconds_of_a_step
from experiments.studies.mmd_batch_size.options import MMDBatchSize
from experiments.studies.mmd_batch_size.theory import (
    DIMENSIONS,
    exact,
    expected_bias,
    mean_variance,
    preferred_variance,
)


class Measured(NamedTuple):
    """Results at one batch size, by estimator.

    estimates: estimates of MMD^2, `[repeats]`.
    learned: shift `[seeds, 2]` and covariance `[seeds, 2, 2]` of the generators; empty above `largest_learned`.
    seconds: processor time of a step, in seconds.
    """

    estimates: Mapping[Estimator, np.ndarray]
    learned: Mapping[Estimator, tuple[np.ndarray, np.ndarray]]
    seconds: float


def measure(options: MMDBatchSize) -> dict[int, Measured]:
    """Returns the results by batch size."""
    return {
        n: Measured(
            estimates(options, n),
            {name: learn(options, name, n) for name in get_args(Estimator) if n <= options.largest_learned},
            seconds_of_a_step(options, n),
        )
        for n in options.batch_sizes
    }


def expectations(options: MMDBatchSize) -> tuple[float, dict[int, float]]:
    """Returns the exact MMD^2 of data and samples, and the expectation of the biased estimator by batch size."""
    covariance = options.scale**2 * np.eye(DIMENSIONS)
    truth = float(exact(options.bandwidth, np.zeros(DIMENSIONS), covariance))
    biases = {n: float(expected_bias(options.bandwidth, n, covariance)) for n in options.batch_sizes}
    return truth, {n: truth + bias for n, bias in biases.items()}


def table(options: MMDBatchSize, measured: Mapping[int, Measured]) -> str:
    """Returns a line per batch size, with means and standard deviations; MMD^2 is multiplied by 1,000."""
    truth, biased = expectations(options)
    lines = [
        f"{'':11}1,000 MMD^2, exactly {1e3 * truth:.2f}{'':15}learned variance, of 1{'':19}1,000 MMD^2 learned   step",
        f"{'batch':>6} {'biased':>16} {'exact':>7} {'unbiased':>16} {'biased':>15} {'exact':>8} {'unbiased':>15}"
        f" {'biased':>10} {'unbiased':>9} {'ms':>8}",
    ]
    for n, row in measured.items():
        mmd = {name: f"{1e3 * v.mean():7.2f} +- {1e3 * v.std(ddof=1):5.2f}" for name, v in row.estimates.items()}
        variance, left = dict.fromkeys(mmd, ""), dict.fromkeys(mmd, "")
        for name, (shift, c) in row.learned.items():
            variance[name] = f"{mean_variance(c).mean():6.3f} +- {mean_variance(c).std(ddof=1):5.3f}"
            left[name] = f"{1e3 * exact(options.bandwidth, shift, c).mean():.3f}"
        lines.append(
            f"{n:6,} {mmd['biased']} {1e3 * biased[n]:7.2f} {mmd['unbiased']} {variance['biased']:>15}"
            f" {preferred_variance(options.bandwidth, n):8.3f} {variance['unbiased']:>15}"
            f" {left['biased']:>10} {left['unbiased']:>9} {1e3 * row.seconds:8.2f}"
        )
    return "\n".join(lines)
