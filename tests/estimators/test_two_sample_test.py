"""The permutation test is calibrated, sees what differs, and chooses its bandwidth on data of its own."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax_models.estimators import two_sample_test as module
from genjax_models.estimators.kernels import gaussian_kernel, kernel_on_features, polynomial_kernel
from genjax_models.estimators.mmd import mmd_squared_unbiased
from genjax_models.estimators.two_sample_test import (
    _relabellings,
    held_out_two_sample_test,
    mmd_squared_and_variance,
    power_optimal_bandwidth,
    two_sample_test,
)
from tests.statistics import STANDARD_ERRORS

KEY = jax.random.key(0)
FALSE_ALARMS = 6e-7  # of each check below, as five standard errors
REPETITIONS, PERMUTATIONS = 500, 19  # p is uniform on 1/20, 2/20, ..., 1
UNIT = gaussian_kernel(1.0)


def p_values(test, shift=0.0, seed=0):
    """Of 500 pairs of samples in one compiled call; without a shift they are of one distribution."""

    def p_value(key):
        x_key, y_key, test_key = jax.random.split(key, 3)
        x, y = jax.random.normal(x_key, (14, 2)), jax.random.normal(y_key, (10, 2)) + shift
        return test(test_key, x, y)

    return np.asarray(jax.jit(jax.vmap(p_value))(jax.random.split(jax.random.key(seed), REPETITIONS)))


def assert_uniform(p):
    """On 1/20 ... 1: chi squared of the 20 counts has a p-value of its own, 6e-7 the smallest that passes."""
    counts = np.bincount(np.round(p * (1 + PERMUTATIONS)).astype(int), minlength=PERMUTATIONS + 2)
    assert counts[0] == 0
    assert counts.sum() == REPETITIONS
    assert stats.chisquare(counts[1:]).pvalue > FALSE_ALARMS, counts


def permutation_p(key, x, y, kernel=UNIT):
    return two_sample_test(key, x, y, kernel, num_permutations=PERMUTATIONS).p_value


def held_out_p(key, x, y):
    bandwidths = jnp.array([0.25, 0.5, 1.0, 2.0])
    return held_out_two_sample_test(key, x, y, bandwidths, num_permutations=PERMUTATIONS).test.p_value


@pytest.mark.slow
@pytest.mark.parametrize("test", [permutation_p, held_out_p])
def test_the_p_value_of_equal_distributions_is_uniform(test):
    assert_uniform(p_values(test))


def best_of_several(key, x, y):
    """A usual mistake: the bandwidth that gives the smallest p-value on the data that it is tested on."""
    return jnp.min(jnp.stack([permutation_p(key, x, y, gaussian_kernel(s)) for s in (0.05, 0.2, 1.0, 5.0)]))


def without_the_observed(key, x, y):
    """Another: count / B, which can be 0."""
    return (permutation_p(key, x, y) * (1 + PERMUTATIONS) - 1) / PERMUTATIONS


@pytest.mark.parametrize("mistake", [best_of_several, without_the_observed])
def test_what_is_not_calibrated_is_seen(mistake):
    with pytest.raises(AssertionError):
        assert_uniform(p_values(mistake))


def test_samples_that_differ_are_told_apart():
    p = p_values(permutation_p, shift=1.5)
    assert np.mean(p <= 0.05) > 0.8
    assert np.mean(p) < 0.1


def test_values_are_those_of_relabelled_samples():
    """All 15 ways to call two of six points x, each with the estimator itself."""
    z = jnp.array([[0.0], [1.0], [2.5], [0.5], [1.5], [4.0]])
    kernel = polynomial_kernel(2, 0.5)  # its diagonal is not constant
    estimate = jax.jit(lambda x, y: mmd_squared_unbiased(x, y, kernel))
    relabelled = [
        estimate(z[np.array(of_x)], z[np.setdiff1d(range(6), of_x)]) for of_x in itertools.combinations(range(6), 2)
    ]
    for block_size in (None, 4):
        test = two_sample_test(KEY, z[:2], z[2:], kernel, num_permutations=400, block_size=block_size)
        np.testing.assert_allclose(test.mmd_squared, relabelled[0], rtol=1e-5)
        apart = np.abs(np.asarray(test.null)[:, None] - np.asarray(relabelled))
        assert np.max(np.min(apart, axis=1)) < 1e-4
        assert np.max(np.min(apart, axis=0)) < 1e-4  # and every one occurs
        count = np.sum(test.null >= test.mmd_squared - 1e-4)
        np.testing.assert_allclose(test.p_value, (1 + count) / 401, rtol=1e-6)


def test_the_variance_is_of_the_mean_kernels_of_each_point():
    x, y = np.array([[0.0], [1.0], [2.5]]), np.array([[0.5], [1.5], [4.0], [4.5]])
    kernel = lambda a, b: np.exp(-((a - b.T) ** 2) / 2)
    variance = 0.0
    for own, other in ((x, y), (y, x)):
        within = (kernel(own, own).sum(axis=1) - 1) / (len(own) - 1)
        variance += 4 * np.var(within - kernel(own, other).mean(axis=1), ddof=1) / len(own)
    np.testing.assert_allclose(mmd_squared_and_variance(x, y, UNIT)[1], variance, rtol=1e-5)


def test_power_is_relative_to_the_root_of_the_variance():
    x, y = jax.random.normal(KEY, (2, 40, 1)) * jnp.array([1.0, 0.2])[:, None, None]
    bandwidths = jnp.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
    value, variance = jnp.array([mmd_squared_and_variance(x, y, gaussian_kernel(b)) for b in bandwidths]).T
    best = jnp.argmax(value / jnp.sqrt(variance))
    assert best != jnp.argmax(value / variance)
    assert power_optimal_bandwidth(x, y, bandwidths) == bandwidths[best]


def test_the_bandwidth_is_chosen_on_random_rows_that_are_not_tested(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_best_bandwidth", lambda x, y, *_: seen.append((x, y)) or 1.0)
    monkeypatch.setattr(module, "_permutation_test", lambda key, x, y, *_: seen.append((x, y)))
    whole = jnp.arange(9.0)[:, None], jnp.arange(8.0)[:, None]
    module._held_out(KEY, *whole, None, 1, 1)
    for rows, chosen, tested in zip(whole, *seen, strict=True):
        assert len(chosen) == 4
        np.testing.assert_array_equal(np.sort(np.concatenate([chosen, tested]), axis=0), rows)
        assert not np.array_equal(np.sort(chosen, axis=0), rows[:4])


def test_relabellings_have_the_sizes_of_the_samples_and_every_subset_is_equally_likely():
    few = np.asarray(_relabellings(jax.random.key(0), 6_000, 2, 4))
    assert (few.sum(axis=1) == 2).all()
    counts = np.unique(few @ 2 ** np.arange(4), return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 6e-7  # the false-alarm rate


def test_relabellings_that_change_nothing_are_ties():
    """Two points each: a third of the relabellings are the one observed or its mirror image, and as large."""
    x, y = jnp.array([[0.0], [0.1]]), jnp.array([[3.0], [3.2]])
    test = two_sample_test(KEY, x, y, UNIT, num_permutations=3_000)
    error = STANDARD_ERRORS * np.sqrt(1 / 3 * 2 / 3 / 3_000)
    np.testing.assert_allclose(test.p_value, 1 / 3, atol=error)
    same = two_sample_test(KEY, jnp.ones((3, 1)), jnp.ones((4, 1)), UNIT, num_permutations=99)
    assert same.p_value == 1


def test_a_kernel_on_features_sees_what_they_show():
    x, noise = jax.random.normal(KEY, (2, 60, 2))
    y = noise * jnp.array([1.0, 5.0])
    first, second = (kernel_on_features(UNIT, lambda x, i=i: x[:, i : i + 1]) for i in (0, 1))
    assert two_sample_test(KEY, x, y, first, num_permutations=199).p_value > 0.01
    assert two_sample_test(KEY, x, y, second, num_permutations=199).p_value == 1 / 200


@pytest.mark.slow
def test_the_variance_is_that_of_repeated_samples():
    """Its mean over 2,000 pairs of samples against the variance of their MMDs, which is known to 16%."""

    @jax.jit
    @jax.vmap
    def repeated(key):
        x_key, y_key = jax.random.split(key)
        x, y = jax.random.normal(x_key, (60, 1)), jax.random.normal(y_key, (40, 1)) + 1
        return *mmd_squared_and_variance(x, y, UNIT, block_size=25), mmd_squared_unbiased(x, y, UNIT)

    value, variance, expected = repeated(jax.random.split(KEY, 2_000))
    np.testing.assert_allclose(value, expected, atol=1e-6)
    np.testing.assert_allclose(np.mean(variance), np.var(value), rtol=STANDARD_ERRORS * np.sqrt(2 / 2_000))


@pytest.mark.slow
def test_the_bandwidth_with_most_power_is_chosen():
    """Stripes: the samples differ at the scale of 0.3, where the median distance is about 1.7."""

    stripe_key, side_key, noise_key = jax.random.split(KEY, 3)
    x, y = jax.random.randint(stripe_key, (2, 150, 1), -3, 4) + 0.1 * jax.random.normal(noise_key, (2, 150, 1))
    y = y + 0.5 * jax.random.rademacher(side_key, y.shape)  # between the stripes of x, about the same mean
    bandwidths = jnp.array([0.01, 0.25, 2.0, 10.0])
    assert power_optimal_bandwidth(x, y, bandwidths) == 0.25
    chosen = held_out_two_sample_test(KEY, x, y, num_permutations=199)
    assert chosen.bandwidth < 1
    assert chosen.test.p_value == 1 / 200
    assert two_sample_test(KEY, x, y, gaussian_kernel(10.0), num_permutations=199).p_value > 0.05


X, Y = np.zeros((4, 1)), np.ones((5, 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: two_sample_test(KEY, X, Y, UNIT, num_permutations=0), "num_permutations must be .* got 0"),
        (lambda: held_out_two_sample_test(KEY, X, Y, num_permutations=-1), "num_permutations must be .* got -1"),
        (lambda: two_sample_test(KEY, X, Y, UNIT, block_size=0), "block_size must be an integer of at least 1, got 0"),
        (lambda: two_sample_test(KEY, X[:1], Y, UNIT), "x must have at least 2 points, got 1"),
        (lambda: held_out_two_sample_test(KEY, X, Y[:3]), "y must have at least 4 points, got 3"),
        (lambda: two_sample_test(KEY, X, np.ones((5, 2)), UNIT), r"the same features, got \(1,\) and \(2,\)"),
        (lambda: two_sample_test(KEY, X, Y * np.nan, UNIT), "y must be finite: 5 of 5 rows are not"),
        (lambda: power_optimal_bandwidth(X, Y, [1.0, -1.0]), "bandwidth must be finite and positive, got -1"),
        (lambda: power_optimal_bandwidth(X, X), "the median distance of 8 points is 0"),
    ],
)
def test_what_cannot_be_tested_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        wrong()
    assert "\n" not in str(error.value)


def nan_far_away(x, y):
    return jnp.where(x[:, :1] > 3, jnp.nan, UNIT(x, y))


HUGE = np.float32([[1e20], [2e20], [-1e20], [3e20], [0.0]])


@pytest.mark.parametrize(
    ("x", "y", "kernel"),
    [
        (X, 5 * Y, nan_far_away),
        (X, Y, lambda x, y: jnp.full((len(x), len(y)), jnp.nan)),
        (X, Y, lambda x, y: jnp.full((len(x), len(y)), jnp.inf)),
        (HUGE, HUGE + 1, polynomial_kernel(3)),
        (HUGE, HUGE[:3], UNIT),
    ],
)
def test_fault_82_a_statistic_that_is_no_number_is_refused_and_nan_while_tracing(x, y, kernel):
    with pytest.raises(ValueError, match=r"MMD\^2 and its null must be finite, got") as error:
        two_sample_test(KEY, x, y, kernel, num_permutations=9)
    assert "\n" not in str(error.value)
    assert np.isnan(jax.jit(lambda x, y: two_sample_test(KEY, x, y, kernel, num_permutations=9).p_value)(x, y))


def test_fault_82_a_null_that_is_no_number_is_refused():
    """The kernel is NaN for one pair, of x and y: only some relabellings see it with weight, and all are refused."""
    kernel = lambda x, y: jnp.where((x[:, :1] + y[:, 0]) == 1, jnp.nan, UNIT(x, y))
    with pytest.raises(ValueError, match="must be finite"):
        two_sample_test(KEY, X, Y, kernel, num_permutations=9)


def test_fault_82_the_bandwidth_of_numbers_that_overflow_is_refused():
    with pytest.raises(ValueError, match="not finite at some bandwidth"):
        power_optimal_bandwidth(HUGE, HUGE + 1, [1.0, 1e20])
    with pytest.raises(ValueError, match="must be finite, got nan"):
        held_out_two_sample_test(KEY, HUGE, HUGE, [1.0, 1e20], num_permutations=9)
    traced = jax.jit(lambda x: held_out_two_sample_test(KEY, x, x, [1.0, 1e20], num_permutations=9))(HUGE)
    assert np.isnan(traced.test.p_value)
    assert np.isnan(traced.bandwidth)
