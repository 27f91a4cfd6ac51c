"""A layer divided by its largest singular value, against numpy's; how the state moves, and the gradient through it."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.spectral_normalisation import SpectralNormalisation

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (7, 5))


class Normalised(nn.Module):
    """A linear map, undivided weights and state beside each other."""

    @nn.compact
    def __call__(self, x):
        return SpectralNormalisation(nn.Dense(4, name="map"))(x)


def converged(module, x):
    """Variables after 200 calls that may move the state."""
    variables = module.init(KEY, x)
    call = jax.jit(lambda v: {**v, **module.apply(v, x, mutable=["batch_stats"])[1]})
    for _ in range(200):
        variables = call(variables)
    return variables


def test_the_largest_singular_value_is_one_and_the_rest_is_the_layers():
    variables = converged(Normalised(), X)
    plain = variables["params"]["map"]
    largest = np.linalg.svd(plain["kernel"], compute_uv=False)[0]
    assert abs(largest - 1) > 0.1
    expected = X @ (plain["kernel"] / largest) + plain["bias"]
    np.testing.assert_allclose(Normalised().apply(variables, X), expected, rtol=1e-4, atol=1e-6)


def test_a_convolutions_kernel_is_a_matrix_by_its_outputs():
    images = jax.random.normal(KEY, (2, 4, 4, 3))
    layer = lambda **options: Convolution(5, (3, 3), **options)
    module = SpectralNormalisation(layer())
    variables = converged(module, images)
    kernel = variables["params"]["layer"]["kernel"]
    largest = np.linalg.svd(kernel.reshape(27, 5), compute_uv=False)[0]
    plain = {"params": {**variables["params"]["layer"], "kernel": kernel / largest}}
    np.testing.assert_allclose(module.apply(variables, images), layer().apply(plain, images), rtol=1e-4, atol=1e-5)


def test_the_gradient_holds_the_singular_vectors_fixed():
    """d/dW of <C, W / s> is C / s - <C, W> a b' / s^2, with a and b the first singular vectors."""
    variables = converged(Normalised(), X)
    params, kernel = variables["params"], np.asarray(variables["params"]["map"]["kernel"], np.float64)

    def total(kernel):
        changed = {**variables, "params": {"map": {**params["map"], "kernel": kernel}}}
        return jnp.sum(Normalised().apply(changed, X) ** 2)

    left, values, right = np.linalg.svd(kernel)
    bias = np.asarray(params["map"]["bias"], np.float64)
    outputs = np.asarray(X, np.float64) @ kernel / values[0] + bias
    C = 2 * np.asarray(X, np.float64).T @ outputs
    expected = C / values[0] - (C * kernel).sum() * np.outer(left[:, 0], right[0]) / values[0] ** 2
    np.testing.assert_allclose(jax.grad(total)(params["map"]["kernel"]), expected, rtol=1e-3, atol=1e-4)


def test_one_power_iteration_for_each_call_that_may_move_the_state_and_none_elsewhere():
    variables = Normalised().init(KEY, X)
    kernel = variables["params"]["map"]["kernel"]
    u = variables["batch_stats"]["SpectralNormalisation_0"]["u"]
    _, moved = Normalised().apply(variables, X, mutable=["batch_stats"])
    expected = kernel.T @ (kernel @ u)
    np.testing.assert_allclose(
        moved["batch_stats"]["SpectralNormalisation_0"]["u"], expected / np.linalg.norm(expected), rtol=1e-4
    )
    assert np.abs(moved["batch_stats"]["SpectralNormalisation_0"]["u"] - u).max() > 1e-3
    outputs = Normalised().apply(variables, X)
    np.testing.assert_allclose(outputs, X @ kernel / np.linalg.norm(kernel @ u), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scale", [0.5, 0.0625])
def test_an_average_of_directions_need_not_be_of_length_one(scale):
    variables = converged(Normalised(), X)
    shorter = {**variables, "batch_stats": jax.tree.map(lambda u: scale * u, variables["batch_stats"])}
    np.testing.assert_allclose(Normalised().apply(shorter, X), Normalised().apply(variables, X), rtol=1e-5, atol=1e-6)


def test_a_kernel_of_zeros_stays_zeros_and_its_gradient_is_finite():
    variables = Normalised().init(KEY, X)
    params = {**variables["params"]["map"], "kernel": jnp.zeros((5, 4))}

    def total(params):
        given = {**variables, "params": {"map": params}}
        outputs, moved = Normalised().apply(given, X, mutable=["batch_stats"])
        return jnp.sum(outputs), (outputs, moved)

    gradient, (outputs, moved) = jax.grad(total, has_aux=True)(params)
    assert np.all(np.asarray(outputs) == 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, moved)))


def test_more_iterations_per_call_are_more_calls():
    variables = Normalised().init(KEY, X)
    params, stats = {"layer": variables["params"]["map"]}, variables["batch_stats"]["SpectralNormalisation_0"]
    apply = lambda iterations, stats: SpectralNormalisation(nn.Dense(4), iterations).apply(
        {"params": params, "batch_stats": stats}, X, mutable=["batch_stats"]
    )
    once = apply(1, stats)
    twice = apply(1, once[1]["batch_stats"])
    np.testing.assert_allclose(apply(2, stats)[0], twice[0], rtol=1e-5)
    assert np.abs(twice[0] - once[0]).max() > 1e-4
    with pytest.raises(ValueError, match="iterations must be an integer of at least 1, got 0"):
        apply(0, stats)
