"""Moments against those of small samples and Gaussians, and their difference against the polynomial kernel's MMD."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.kernels import polynomial_kernel
from genjax_models.estimators.mmd import mmd_squared_biased, mmd_squared_unbiased
from genjax_models.estimators.moments import central_moments, moment_difference, polynomial_weights, raw_moments
from tests.statistics import assert_mean

X = np.array([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], np.float32)
Y = np.array([[0.5, 0.5], [-1.0, 1.0]], np.float32)
MMD_SQUARED = {  # (offset, degree): the squared biased MMD of (x.y + offset)^degree
    (0.0, 1): 2.569444444444444,
    (1.0, 1): 2.569444444444444,
    (1.0, 2): 18.493055555555557,
    (1.0, 3): 166.49652777777777,
    (0.5, 4): 1187.712673611111,
}


def test_moments_of_a_small_sample_are_exact():
    x = jnp.array([[0.0, 1.0], [2.0, -1.0], [1.0, 3.0]])
    mean, second = raw_moments(x, 2)
    np.testing.assert_allclose(mean, [1, 1], rtol=1e-6)
    np.testing.assert_allclose(second, [[5 / 3, 1 / 3], [1 / 3, 11 / 3]], rtol=1e-6)
    mean, covariance = central_moments(x, 2)
    np.testing.assert_allclose(mean, [1, 1], rtol=1e-6)
    np.testing.assert_allclose(covariance, [[2 / 3, -2 / 3], [-2 / 3, 8 / 3]], rtol=1e-6)  # over n, and not n - 1


@pytest.mark.parametrize(("moments", "shift"), [(raw_moments, 0), (central_moments, 1)])
def test_higher_moments_are_tensors_of_products(moments, shift):
    x = np.random.default_rng(0).normal(size=(6, 2, 2)).astype(np.float32)
    flat = x.reshape(6, 4)
    flat = flat - shift * flat.mean(axis=0)
    third, fourth = moments(x, 4)[2:]
    np.testing.assert_allclose(third, np.einsum("na,nb,nc->abc", flat, flat, flat) / 6, atol=1e-5)
    np.testing.assert_allclose(fourth, np.einsum("na,nb,nc,nd->abcd", flat, flat, flat, flat) / 6, atol=1e-5)


def test_moments_of_a_gaussian_are_those_of_the_recursion():
    x = 0.5 + 2 * jax.random.normal(jax.random.key(0), (20_000, 5, 1))
    of_samples = jax.jit(jax.vmap(lambda x: jnp.stack([m.ravel()[0] for m in raw_moments(x, 5)])))(x)
    expected = np.array([0.5, 4.25, 6.125, 54.0625, 125.03125])  # N(0.5, 4)
    assert_mean(of_samples, expected)
    with pytest.raises(AssertionError):
        assert_mean(of_samples, expected - np.eye(5)[1] / 4)  # the second central moment is another


@pytest.mark.parametrize(("offset", "degree"), MMD_SQUARED)
def test_the_polynomial_mmd_is_the_difference_of_moments_in_value_and_gradient(offset, degree):
    @jax.jit
    def both(x, y):
        kernel, weights = polynomial_kernel(degree, offset=offset), polynomial_weights(degree, offset=offset)
        mmd_squared = lambda x, y: mmd_squared_biased(x, y, kernel)
        difference = lambda x, y: moment_difference(x, y, degree, weights=weights)
        return [jax.value_and_grad(of, (0, 1))(x, y) for of in (mmd_squared, difference)]

    by_kernel, by_moments = both(X, Y)
    for value, _ in (by_kernel, by_moments):
        np.testing.assert_allclose(value, MMD_SQUARED[offset, degree], rtol=1e-5)
    for a, b in zip(by_kernel[1], by_moments[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * np.max(np.abs(b)))


def test_a_scale_weighs_moments_by_its_powers():
    kernel, weights = polynomial_kernel(3, 0.3, 2.0), polynomial_weights(3, 0.3, 2.0)
    np.testing.assert_allclose(weights, [3 * 4 * 0.3, 3 * 2 * 0.09, 0.027])
    difference = moment_difference(X, Y, 3, weights=weights)
    np.testing.assert_allclose(mmd_squared_biased(X, Y, kernel), difference, rtol=1e-5)
    for wrong in (mmd_squared_unbiased(X, Y, kernel), moment_difference(X, Y, 3), moment_difference(X, Y, 2)):
        assert not np.isclose(wrong, difference, rtol=0.05)


@pytest.mark.slow
def test_moments_are_blind_above_their_order():
    """Six points have the moments of N(0, 1) up to the fifth; a coin of +-1 has the first three of them."""
    normal = np.array([[-np.sqrt(3)], [0], [0], [0], [0], [np.sqrt(3)]], np.float32)
    coin = np.array([[-1.0], [1.0]], np.float32)
    for order in (1, 2, 3):
        for central in (False, True):
            np.testing.assert_allclose(moment_difference(normal, coin, order, central=central), 0, atol=1e-9)
        np.testing.assert_allclose(mmd_squared_biased(normal, coin, polynomial_kernel(order)), 0, atol=1e-5)
    np.testing.assert_allclose(moment_difference(normal, coin, 4), (3 - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(mmd_squared_biased(normal, coin, polynomial_kernel(4, offset=0.0)), 4, rtol=1e-5)


SHIFT = np.float32([2.0, 0.0])


def test_central_moments_do_not_see_a_shift_but_in_the_mean():
    shifted = moment_difference(X, X + SHIFT, 3, central=True, weights=[1.0, 10.0, 10.0])
    np.testing.assert_allclose(shifted, 4.0, rtol=1e-5)
    assert moment_difference(X, X + SHIFT, 3) > 10


def test_the_gradient_of_a_difference_of_covariances_is_exact():
    """Of |c^2 C - C|^2 in the scale c: 4 c (c^2 - 1) |C|^2."""
    covariance = np.cov(X.T, ddof=0)
    weights = [0.0, 1.0]
    gradient = jax.grad(lambda c: moment_difference(c * X, X, 2, central=True, weights=weights))(1.5)
    np.testing.assert_allclose(gradient, 4 * 1.5 * (1.5**2 - 1) * np.sum(covariance**2), rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: raw_moments(X, 0), "order must be an integer of at least 1, got 0"),
        (lambda: central_moments(X, 1.5), "order must be an integer of at least 1, got 1.5"),
        (lambda: moment_difference(X, Y, True), "order must be an integer of at least 1, got True"),
        (lambda: moment_difference(X, Y, 2, weights=[1.0]), "weights must be 2 numbers, one per moment, got 1"),
        (lambda: moment_difference(X, Y[:, :1], 2), r"the same features, got \(2,\) and \(1,\)"),
        (lambda: moment_difference(X, Y + np.inf, 2), "y must be finite: 2 of 2 rows are not, the first is row 0"),
        (lambda: raw_moments(X[:0], 1), "x must have at least 1 points, got 0"),
        (lambda: polynomial_weights(0), "degree must be an integer of at least 1, got 0"),
    ],
)
def test_what_has_no_moments_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
