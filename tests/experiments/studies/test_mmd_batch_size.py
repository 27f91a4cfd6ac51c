"""Estimates and learned variances match theory, and the command draws and prints."""

import numpy as np
import pytest

from experiments.studies.mmd_batch_size.__main__ import main
from experiments.studies.mmd_batch_size.learning import estimates, learn
from experiments.studies.mmd_batch_size.options import MMDBatchSize
from experiments.studies.mmd_batch_size.theory import (
    exact,
    expected_bias,
    mean_kernel,
    mean_variance,
    preferred_variance,
)
from genjax_models.errors import InputError

OPTIONS = MMDBatchSize(bandwidth=0.7, scale=0.6, repeats=400, seeds=6, steps=60, batch_sizes=(4, 32))
BANDWIDTH, COVARIANCE = OPTIONS.bandwidth, OPTIONS.scale**2 * np.eye(2)


def test_the_exact_mmd_is_the_product_over_dimensions():
    """E exp(-(x - y)^2 / (2 b^2)) of x - y ~ N(m, v) is b / sqrt(b^2 + v) exp(-m^2 / (2 (b^2 + v))), by quadrature."""
    grid = np.linspace(-12, 12, 20_001)
    for shift, variance in ((0.3, 2.0), (-1.0, 0.5)):
        density = np.exp(-((grid - shift) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        one = np.trapezoid(density * np.exp(-(grid**2) / (2 * BANDWIDTH**2)), grid)
        two = mean_kernel(BANDWIDTH, np.array([shift, shift]), variance * np.eye(2))
        assert two == pytest.approx(one**2, rel=1e-9)
    assert exact(BANDWIDTH, np.zeros(2), np.eye(2)) == pytest.approx(0, abs=1e-12)
    assert exact(BANDWIDTH, np.ones(2), np.eye(2)) > exact(BANDWIDTH, 0.5 * np.ones(2), np.eye(2)) > 0


@pytest.mark.parametrize("n", OPTIONS.batch_sizes)
def test_the_means_of_both_estimators_match_theory(n):
    """Within 5 standard errors of 400 repeats, 6e-7 of false alarm each."""
    truth = exact(BANDWIDTH, np.zeros(2), COVARIANCE)
    expected = {"biased": truth + expected_bias(BANDWIDTH, n, COVARIANCE), "unbiased": truth}
    for name, values in estimates(OPTIONS, n).items():
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - expected[name]) < 5 * error
        other = expected["unbiased" if name == "biased" else "biased"]
        assert abs(values.mean() - other) > 5 * error  # the two differ


def test_the_preferred_variance_is_too_small_for_small_batches_only():
    preferred = [preferred_variance(BANDWIDTH, n) for n in (2, 8, 64, 4096)]
    assert preferred == sorted(preferred)
    assert preferred[0] < 0.7
    assert preferred[-1] == pytest.approx(1, abs=0.01)


@pytest.mark.slow
def test_a_generator_learns_what_its_estimator_prefers():
    """The biased estimator from 4 points teaches far less variance than the unbiased estimator."""
    biased, unbiased = (learn(OPTIONS, name, 4) for name in ("biased", "unbiased"))
    assert biased[0].shape == (6, 2)
    assert biased[1].shape == (6, 2, 2)
    assert mean_variance(biased[1]).mean() < 0.85 * mean_variance(unbiased[1]).mean()


@pytest.mark.slow
def test_the_command_measures_draws_and_prints(tmp_path, capsys):
    out = tmp_path / "new" / "picture.png"
    arguments = "--batch-sizes 2 600 --largest-learned 2 --repeats 3 --seeds 2 --steps 3 --to"
    assert main([*arguments.split(), str(out)]) == 0
    *_, two, many, where = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in (two, many)] == [18, 10]  # at 600 no generator learns
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [{"batch_sizes": (1,)}, {"batch_sizes": (8, 4)}, {"batch_sizes": ()}, {"bandwidth": -1.0}, {"seeds": 1},
     {"largest_learned": 4}, {"steps": 0}, {"seed": -1}],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises((InputError, ValueError), match=next(iter(wrong))):
        MMDBatchSize(**wrong)
