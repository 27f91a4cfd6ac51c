"""Conditional batch normalisation, against the exact values of a batch of two classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.normalisation import ConditionalBatchNorm

X = jnp.array([[1.0, 0.0], [3.0, 2.0], [5.0, 1.0], [7.0, 5.0]])
GAIN, BIAS = np.array([[0.5, -0.25], [0.0, 1.0]]), np.array([[1.0, 0.0], [-1.0, 2.0]])
OUTPUTS = [
    [-1.0124591672916496, -0.8017825803344052],
    [-1.4472131482870334, 2.0],
    [1.6708197224305499, -0.4008912901672026],
    [0.34163944486109976, 5.207130321337621],
]
ZEROS = np.zeros((2, 2))


def variables_and_condition():
    """Kernels that read two halves of y, each with its class one-hot times the singular value that is divided out."""
    kernels = {"gain": np.vstack([GAIN, ZEROS]), "bias": np.vstack([ZEROS, BIAS])}
    values = {name: np.linalg.svd(kernel) for name, kernel in kernels.items()}
    params = {name: {"kernel": jnp.asarray(kernel, jnp.float32)} for name, kernel in kernels.items()}
    u = {name: {"u": jnp.asarray(value[2][0], jnp.float32)} for name, value in values.items()}
    classes = np.eye(2)[[0, 1, 0, 1]]
    y = jnp.asarray(np.hstack([classes * values[name][1][0] for name in kernels]), jnp.float32)
    stats = {"SpectralNormalisation_0": u["gain"], "SpectralNormalisation_1": u["bias"]}
    stats["BatchNorm_0"] = {"mean": jnp.zeros(2), "var": jnp.ones(2)}
    return {"params": params, "batch_stats": stats}, y


def test_moments_are_of_the_whole_batch_and_the_gain_is_added_to_one():
    variables, y = variables_and_condition()
    outputs, moved = ConditionalBatchNorm().apply(variables, X, y, mutable=["batch_stats"])
    np.testing.assert_allclose(outputs, OUTPUTS, rtol=2e-5, atol=2e-6)
    moved = moved["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.1 * np.mean(X, axis=0), rtol=1e-5)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * np.var(X, axis=0), rtol=1e-5)


def test_running_averages_judge_and_no_condition_is_plain_normalisation():
    variables, y = variables_and_condition()
    outputs = ConditionalBatchNorm(epsilon=0.0).apply(variables, X, 0 * y)
    np.testing.assert_allclose(outputs, X, rtol=1e-6)


def test_images_have_a_condition_for_each_example():
    module, images = ConditionalBatchNorm(), jnp.broadcast_to(X[:, None, None], (4, 2, 3, 2))
    variables, y = variables_and_condition()
    outputs = module.apply(variables, images, y, mutable=["batch_stats"])[0]
    np.testing.assert_allclose(outputs[:, 1, 2], OUTPUTS, rtol=2e-5, atol=2e-6)
    with pytest.raises(ValueError, match=r"y must be \[batch, c\] with the batch of x, got \(3, 4\)"):
        jax.eval_shape(lambda y: module.apply(variables, images, y), y[:3])
