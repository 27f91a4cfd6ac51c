"""Kernels against their formulas in float64, distances far from the origin, and what is no kernel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.kernels import (
    gaussian_kernel,
    kernel_on_features,
    laplace_kernel,
    median_bandwidth,
    polynomial_kernel,
    product_of_kernels,
    rational_quadratic_kernel,
    squared_distances,
    sum_of_kernels,
)

X = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32) + 0.5
D2 = np.sum((X.astype(np.float64)[:, None] - Y.astype(np.float64)) ** 2, axis=2)
D, DOT = np.sqrt(D2), X.astype(np.float64) @ Y.astype(np.float64).T

FORMULAS = {
    "gaussian": (gaussian_kernel(1.5), np.exp(-D2 / (2 * 1.5**2))),
    "gaussians, summed": (gaussian_kernel([0.5, 1.3, 4]), sum(np.exp(-D2 / (2 * s**2)) for s in (0.5, 1.3, 4))),
    "gaussians, of an array": (gaussian_kernel(np.array([1.0, 3.0])), np.exp(-D2 / 2) + np.exp(-D2 / 18)),
    "laplace": (laplace_kernel(0.7), np.exp(-D / 0.7)),
    "laplaces, summed": (laplace_kernel((1, 2, 4)), sum(np.exp(-D / s) for s in (1, 2, 4))),
    "rational quadratic": (rational_quadratic_kernel(2.0, 0.3), (1 + D2 / (2 * 0.3 * 4)) ** -0.3),
    "rational quadratics, summed": (
        rational_quadratic_kernel([1.0, 2.0]),
        1 / (1 + D2 / 2) + 1 / (1 + D2 / 8),
    ),
    "polynomial": (polynomial_kernel(3, 0.5, 2.0), (0.5 * DOT + 2) ** 3),
    "polynomial, homogeneous": (polynomial_kernel(2, offset=0.0), DOT**2),
    "a sum": (sum_of_kernels(gaussian_kernel(1.0), laplace_kernel(2.0)), np.exp(-D2 / 2) + np.exp(-D / 2)),
    "a product": (product_of_kernels(gaussian_kernel(1.0), polynomial_kernel(1)), np.exp(-D2 / 2) * (DOT + 1)),
    "of features": (kernel_on_features(gaussian_kernel(1.0), lambda x: 2 * x), np.exp(-2 * D2)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_each_kernel_is_its_formula(name):
    kernel, expected = FORMULAS[name]
    np.testing.assert_allclose(kernel(X, Y), expected, rtol=2e-5, atol=1e-6)
    images = kernel(X.reshape(7, 3, 1, 1), Y.reshape(5, 3, 1, 1))  # features of any shape are flattened
    np.testing.assert_allclose(images, expected, rtol=2e-5, atol=1e-6)


def test_a_bandwidth_is_a_standard_deviation_and_no_variance():
    """The mutants exp(-d^2 / s^2) and exp(-d^2 / (2 s)) are other numbers."""
    _, expected = FORMULAS["gaussian"]
    for wrong in (gaussian_kernel(1.5 / np.sqrt(2)), gaussian_kernel(np.sqrt(1.5))):
        assert np.max(np.abs(wrong(X, Y) - expected)) > 0.1


@pytest.mark.parametrize("ratio", [2.0, 2**0.5, 1.0])
def test_bandwidths_that_double_are_those_of_single_exponentials(ratio):
    bandwidths = [0.25 * ratio**i for i in range(8)]
    x = 3 * X
    expected = sum(np.exp(-9 * D2[:, :1] / (2 * s**2)) for s in bandwidths)
    np.testing.assert_allclose(gaussian_kernel(bandwidths)(x, 3 * Y[:1]), expected, atol=1e-5)


def test_doubled_bandwidths_save_exponentials():
    def exponentials(bandwidths):
        return str(jax.make_jaxpr(gaussian_kernel(bandwidths))(X, Y)).count(" exp ")

    assert exponentials([1, 2, 4, 8, 16, 32]) == 2
    assert exponentials([1, 3, 10]) == 3


def test_summed_kernels_share_one_matrix_of_distances():
    kernel = sum_of_kernels(gaussian_kernel(1.0), rational_quadratic_kernel(2.0), laplace_kernel(1.0))
    compiled = jax.jit(kernel).lower(X, Y).compile().as_text()
    assert compiled.count(" dot(") + compiled.count("matmul") == 1, compiled


def test_bandwidths_may_be_traced():
    bandwidths = jnp.array([0.5, 1.0, 2.0])
    together = jax.jit(jax.vmap(lambda s: gaussian_kernel([s, 2 * s])(X, Y)))(bandwidths)
    for s, gram in zip(bandwidths, together, strict=True):
        np.testing.assert_allclose(gram, gaussian_kernel([float(s), 2 * float(s)])(X, Y), rtol=1e-5)
    gradient = jax.grad(lambda s: jnp.sum(gaussian_kernel(s)(X, Y)))(1.5)
    np.testing.assert_allclose(gradient, np.sum(np.exp(-D2 / 4.5) * D2 / 1.5**3), rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e5])
def test_distances_are_accurate_far_from_the_origin_and_never_negative(offset):
    def accurate(distances):
        x, y = X + np.float32(offset), Y + np.float32(offset)  # what float32 has left of the data
        exact = np.sum((x.astype(np.float64)[:, None] - y.astype(np.float64)) ** 2, axis=2)
        np.testing.assert_allclose(distances(x, y), exact, atol=1e-5)

    def not_centred(x, y):
        return jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1) - 2 * x @ y.T

    accurate(squared_distances)
    z = jnp.concatenate([X, X, X + 1e-4]) + offset
    assert np.min(squared_distances(z, z)) >= 0
    if offset:
        with pytest.raises(AssertionError):
            accurate(not_centred)


def test_the_gradient_of_a_distance_is_that_of_the_formula():
    weights = np.random.default_rng(2).normal(size=D2.shape)
    in_x, in_y = jax.grad(lambda x, y: jnp.sum(weights * squared_distances(x, y)), (0, 1))(X + 100, Y + 100)
    apart = 2 * weights[:, :, None] * (X[:, None] - Y)
    np.testing.assert_allclose(in_x, apart.sum(axis=1), atol=3e-4)
    np.testing.assert_allclose(in_y, -apart.sum(axis=0), atol=3e-4)


def test_the_corner_of_the_laplace_kernel_has_gradient_zero():
    gradient = jax.grad(lambda x: laplace_kernel(1.0)(x, jnp.ones((1, 3)))[0, 0])(jnp.ones((1, 3)))
    np.testing.assert_array_equal(gradient, np.zeros((1, 3)))


@pytest.mark.slow
def test_the_median_is_that_of_all_pairs():
    np.testing.assert_allclose(median_bandwidth([[0.0], [1.0]], [[3.0]]), 2.0)  # of 1, 2, 3
    z = np.concatenate([X, Y])
    pairs = [np.linalg.norm(z[i] - z[j]) for i in range(12) for j in range(i)]
    np.testing.assert_allclose(median_bandwidth(X, Y), np.median(pairs), rtol=1e-5)
    few = np.linspace(0.0, 6.0, 7)[:, None]
    np.testing.assert_allclose(median_bandwidth(few, few, max_points=2), 6.0)  # of 0, 6, 0, 6: 0 0 6 6 6 6
    np.testing.assert_allclose(jax.jit(median_bandwidth)(X, Y), np.median(pairs), rtol=1e-5)


@pytest.mark.parametrize("bandwidth", [0, -1, np.nan, np.inf, [1.0, 0.0], np.array([1.0, -2.0]), jnp.float32(-1), []])
@pytest.mark.parametrize("kernel", [gaussian_kernel, laplace_kernel, rational_quadratic_kernel])
def test_fault_16_a_bandwidth_that_is_not_positive_is_refused(kernel, bandwidth):
    with pytest.raises(
        ValueError, match=r"bandwidth must be (finite and positive, got|a positive number, .* got none)"
    ):
        kernel(bandwidth)


def test_fault_16_a_median_of_zero_is_refused():
    with pytest.raises(ValueError, match="the median distance of 9 points is 0"):
        median_bandwidth(np.ones((4, 2)), np.ones((5, 2)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: rational_quadratic_kernel(1.0, alpha=-1), "alpha must be finite and positive, got -1"),
        (lambda: polynomial_kernel(0), "degree must be an integer of at least 1, got 0"),
        (lambda: polynomial_kernel(True), "degree must be an integer of at least 1, got True"),
        (lambda: polynomial_kernel(1.5), "degree must be an integer of at least 1, got 1.5"),
        (lambda: polynomial_kernel(2, scale=0), "scale must be finite and positive, got 0"),
        (lambda: polynomial_kernel(2, offset=-0.5), "offset must be finite and at least 0, got -0.5"),
        (lambda: polynomial_kernel(2, offset=np.nan), "offset must be finite and at least 0, got nan"),
        (lambda: sum_of_kernels(), "at least one kernel is needed, got none"),
        (lambda: product_of_kernels(), "at least one kernel is needed, got none"),
        (lambda: gaussian_kernel(1.0)(X, Y[:, :2]), r"the same features, got \(3,\) and \(2,\)"),
        (lambda: polynomial_kernel(1)(X, Y[:, :2]), r"the same features, got \(3,\) and \(2,\)"),
        (lambda: median_bandwidth(X, Y, max_points=0), "max_points must be an integer of at least 1, got 0"),
        (lambda: median_bandwidth(X * np.nan, Y), "x must be finite: 7 of 7 rows are not, the first is row 0"),
    ],
)
def test_what_makes_no_kernel_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message) as error:
        wrong()
    assert "\n" not in str(error.value)
