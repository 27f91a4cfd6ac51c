"""What is said to be known of the MMD of small batches is what is seen, and the command shows it."""

import numpy as np
import pytest

from experiments.studies import mmd_batch_size
from experiments.studies.mmd_batch_size import MMDBatchSize, exact, expected_bias, variation_preferred
from genjax_models.errors import InputError

OPTIONS = MMDBatchSize(bandwidth=0.7, scale=0.6, repeats=400, seeds=6, steps=60, batch_sizes=(4, 32))
COVARIANCE = OPTIONS.scale**2 * np.eye(2)


def test_the_exact_mmd_is_that_of_one_dimension_multiplied():
    """E exp(-(x - y)^2 / (2 b^2)) of x - y ~ N(m, v) is b / sqrt(b^2 + v) exp(-m^2 / (2 (b^2 + v))), by quadrature."""
    grid = np.linspace(-12, 12, 20_001)
    for shift, variance in ((0.3, 2.0), (-1.0, 0.5)):
        density = np.exp(-((grid - shift) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        one = np.trapezoid(density * np.exp(-(grid**2) / (2 * OPTIONS.bandwidth**2)), grid)
        of_two = mmd_batch_size.mean_kernel(OPTIONS, np.array([shift, shift]), variance * np.eye(2))
        assert of_two == pytest.approx(one**2, rel=1e-9)
    assert exact(OPTIONS, np.zeros(2), np.eye(2)) == pytest.approx(0, abs=1e-12)
    assert exact(OPTIONS, np.ones(2), np.eye(2)) > exact(OPTIONS, 0.5 * np.ones(2), np.eye(2)) > 0


@pytest.mark.parametrize("n", OPTIONS.batch_sizes)
def test_the_mean_of_both_estimators_is_as_known(n):
    """Within 5 standard errors of 400 repeats, 6e-7 of false alarm each."""
    truth = exact(OPTIONS, np.zeros(2), COVARIANCE)
    expected = {"biased": truth + expected_bias(OPTIONS, n, COVARIANCE), "unbiased": truth}
    for name, values in mmd_batch_size.estimates(OPTIONS, n).items():
        error = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - expected[name]) < 5 * error
        other = expected["unbiased" if name == "biased" else "biased"]
        assert abs(values.mean() - other) > 5 * error  # the two can be told apart


def test_small_batches_prefer_too_little_variation_and_large_ones_hardly():
    preferred = [variation_preferred(OPTIONS, n) for n in (2, 8, 64, 4096)]
    assert preferred == sorted(preferred)
    assert preferred[0] < 0.7
    assert preferred[-1] == pytest.approx(1, abs=0.01)


def test_a_generator_learns_what_its_estimator_prefers():
    """By the biased one of 4 points far less variation than by the unbiased one."""
    biased, unbiased = (mmd_batch_size.learn(OPTIONS, name, 4) for name in ("biased", "unbiased"))
    assert biased[0].shape == (6, 2)
    assert biased[1].shape == (6, 2, 2)
    least = mmd_batch_size.variation(unbiased[1]).mean()
    assert mmd_batch_size.variation(biased[1]).mean() < 0.85 * least


def test_the_command_measures_tells_and_draws(tmp_path, capsys):
    out = tmp_path / "new" / "picture.png"
    arguments = "--batch-sizes 2 16 600 --largest-learned 16 --repeats 3 --seeds 2 --steps 3 --out"
    assert mmd_batch_size.main([*arguments.split(), str(out)]) == 0
    *_, two, sixteen, many, where = capsys.readouterr().out.splitlines()
    assert [len(line.split()) for line in (two, sixteen, many)] == [18, 18, 10]  # of 600 nothing is learned
    assert where == str(out)
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "wrong",
    [{"batch_sizes": (1,)}, {"batch_sizes": (8, 4)}, {"batch_sizes": ()}, {"bandwidth": -1.0}, {"seeds": 1},
     {"largest_learned": 4}, {"steps": 0}, {"seed": -1}],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(wrong):
    with pytest.raises((InputError, ValueError), match=next(iter(wrong))):
        MMDBatchSize(**wrong)
