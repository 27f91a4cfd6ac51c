"""The MMD and its test at wide bandwidths and far from the origin, against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.kernels import (
    gaussian_kernel,
    laplace_kernel,
    polynomial_kernel,
    rational_quadratic_kernel,
    sum_of_kernels,
)
from genjax_models.estimators.mmd import (
    mmd_squared_biased,
    mmd_squared_linear,
    mmd_squared_unbiased,
    witness_function,
)
from genjax_models.estimators.small_differences import less_typical
from genjax_models.estimators.two_sample_test import (
    _relabellings,
    mmd_squared_and_variance,
    power_optimal_bandwidth,
    two_sample_test,
)

KEY = jax.random.key(0)


def in_float64(gram, n, num_permutations):
    """Returns the p-value, the statistic and the null of the same relabellings, from a Gram matrix in numpy."""
    total = len(gram)
    gram = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean()  # the MMD does not change
    relabelled = _relabellings(KEY, num_permutations, n, total)
    labels = np.concatenate([[np.arange(total) < n], relabelled]).astype(np.float64)
    m, values = total - n, []
    off_diagonal = gram - np.diag(np.diag(gram))
    for of_x in labels:
        of_y = 1 - of_x
        xx, yy, xy = of_x @ off_diagonal @ of_x, of_y @ off_diagonal @ of_y, of_x @ off_diagonal @ of_y
        values.append(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))
    values = np.array(values)
    count = np.sum(values[1:] >= values[0] - 1e-9 * np.std(values))
    return (1 + count) / (1 + num_permutations), values[0], values[1:]


MEDIAN = 2.4  # of the distances of two points of N(0, 1) in three dimensions, about
OF_DISTANCE = {  # kernel, k - 1 in float64, and the error in units of the null's spread: roots and exp lose digits
    "gaussian": (gaussian_kernel, lambda d2, s: np.expm1(-d2 / (2 * s**2)), 1e-4),
    "laplace": (laplace_kernel, lambda d2, s: np.expm1(-np.sqrt(d2) / s), 5e-3),
    "rational quadratic": (rational_quadratic_kernel, lambda d2, s: np.expm1(-np.log1p(d2 / (2 * s**2))), 1e-4),
    "summed": (
        lambda s: sum_of_kernels(gaussian_kernel([s, 2 * s]), laplace_kernel(s)),
        lambda d2, s: np.expm1(-d2 / (2 * s**2)) + np.expm1(-d2 / (8 * s**2)) + np.expm1(-np.sqrt(d2) / s),
        5e-3,
    ),
    "written by hand": (
        lambda s: lambda x, y: jnp.exp(-jnp.sum((x[:, None] - y) ** 2, axis=-1) / (2 * s**2)),
        lambda d2, s: np.expm1(-d2 / (2 * s**2)),
        0.01,
    ),
}


def far_samples(far, n=60, m=50):
    random = np.random.RandomState(1)
    x = (far + random.normal(size=(n, 3))).astype(np.float32)
    y = (far + 0.05 + random.normal(size=(m, 3))).astype(np.float32)
    return x, y


def squared_distances_in_float64(x, y):
    z = np.concatenate([x, y]).astype(np.float64)
    return np.sum((z[:, None] - z) ** 2, axis=-1)


def assert_equal_to_float64(test, gram, n, error):
    p_value, statistic, null = in_float64(gram, n, len(test.null))
    np.testing.assert_allclose(test.mmd_squared, statistic, atol=error * np.std(null))
    np.testing.assert_allclose(test.null, null, atol=error * np.std(null))
    assert abs(float(test.p_value) - p_value) <= 1.001 / (1 + len(null))  # one near tie may fall on the other side


@pytest.mark.parametrize("name", OF_DISTANCE)
def test_fault_83_the_test_is_that_of_float64(name):
    """One bandwidth is far beyond 64 times the median: kernels of this package have all digits there."""
    kernel, of, error = OF_DISTANCE[name]
    test = jax.jit(lambda x, y, s: two_sample_test(KEY, x, y, kernel(s), num_permutations=199, block_size=50))
    for far, multiple in [(0, 1 / 16), (0, 1), (0, 64), (1e4, 1), (1e4, 64), (0, 1e5)]:
        if multiple < 1e3 or name != "written by hand":
            x, y = far_samples(far)
            gram = of(squared_distances_in_float64(x, y), multiple * MEDIAN)
            assert_equal_to_float64(test(x, y, multiple * MEDIAN), gram, len(x), error)


def test_fault_83_a_diverged_point_moves_no_distance():
    """In distances about a common mean, one point at 1e6 gives all others errors of 1e-7 of 1e10."""
    x, y = far_samples(30.0)
    y[7] += 1e6
    gram = np.expm1(-squared_distances_in_float64(x, y) / (2 * MEDIAN**2))
    test = two_sample_test(KEY, x, y, gaussian_kernel(MEDIAN), num_permutations=99)
    assert_equal_to_float64(test, gram, len(x), 1e-3)


@pytest.mark.parametrize("degree", [1, 2, 3, 4])
def test_fault_83_polynomials_far_from_the_origin(degree):
    kernel = polynomial_kernel(degree, 1 / 3, 1.0)
    figures = jax.jit(
        lambda x, y: (
            two_sample_test(KEY, x, y, kernel, num_permutations=99),
            mmd_squared_and_variance(x, y, kernel)[0],
        )
    )
    for far in (0, 1e3):
        x, y = far_samples(far)
        z = np.concatenate([x, y]).astype(np.float64)
        test, with_variance = figures(x, y)
        assert_equal_to_float64(test, (z @ z.T / 3 + 1) ** degree, len(x), 1e-4)
        np.testing.assert_allclose(with_variance, test.mmd_squared, atol=1e-4 * np.std(test.null))


def test_fault_83_the_estimators_and_the_witness_at_wide_bandwidths():
    x, y = far_samples(1e3, 60, 60)
    of = lambda a, b, s: np.expm1(-np.sum((a[:, None] - b.astype(np.float64)) ** 2, axis=-1) / (2 * s**2))

    @jax.jit
    def figures(x, y, bandwidth):
        kernel = gaussian_kernel(bandwidth)
        values = [estimator(x, y, kernel) for estimator in (mmd_squared_biased, mmd_squared_unbiased)]
        in_blocks = mmd_squared_biased(x, y, kernel, block_size=25), mmd_squared_unbiased(x, y, kernel, block_size=25)
        witness = witness_function(x, x, y, kernel)
        others = mmd_squared_linear(x, y, kernel), mmd_squared_and_variance(x, y, kernel)[0]
        return jnp.array([*values, *in_blocks, *others]), witness

    for multiple in (1.0, 64.0):
        xx, yy, xy = (of(a, b, multiple * MEDIAN) for a, b in ((x, x), (y, y), (x, y)))
        biased = xx.mean() + yy.mean() - 2 * xy.mean()
        unbiased = xx.sum() / (60 * 59) + yy.sum() / (60 * 59) - 2 * xy.mean()  # k - 1 is 0 on the diagonal
        even, odd = np.arange(0, 60, 2), np.arange(1, 60, 2)
        linear = np.mean(xx[even, odd] + yy[even, odd] - xy[even, odd] - xy[odd, even])
        expected = np.array([biased, unbiased] * 2 + [linear, unbiased])
        values, witness = figures(x, y, multiple * MEDIAN)
        np.testing.assert_allclose(values, expected, atol=0.002 * biased)
        np.testing.assert_allclose(witness, xx.mean(axis=1) - xy.mean(axis=1), atol=0.002 * np.std(xx.mean(axis=1)))


def test_fault_83_the_floor_of_the_variance_is_relative_to_the_kernel():
    """A difference of means is seen best at wide bandwidths. There the variance is 1e-18, below a floor of 1e-8."""
    x, y = far_samples(0.0)
    assert power_optimal_bandwidth(x, y + 1, [MEDIAN / 4, 1e4 * MEDIAN]) == np.float32(1e4 * MEDIAN)


def test_fault_83_a_narrow_kernel_loses_no_constant():
    """exp(-50) is 2e-22: less 1, it is no number of its own."""
    x = np.float32([[0], [1], [2], [3]])
    assert less_typical(gaussian_kernel(0.1), x, x)(x[:1], x[1:2])[0, 0] == pytest.approx(np.exp(-50), rel=1e-4)
