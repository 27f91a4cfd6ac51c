"""Arrays are computed when `networks.scheduling` says, with the values that they have without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.networks.convolution import convolve, convolve_transposed
from genjax_models.networks.scheduling import computed_after

X = jnp.array([1.5, -0.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("first", [0.0, -0.0, 3.0, np.inf, -np.inf, np.nan])
def test_nothing_that_is_computed_first_changes_the_array(first):
    ours = jax.jit(computed_after)(X, jnp.full((2, 3), first))
    np.testing.assert_array_equal(np.asarray(ours).view(np.int32), np.asarray(X).view(np.int32))


def test_xla_computes_what_must_be_first():
    text = jax.jit(lambda x, y: computed_after(x, jnp.sin(y))).lower(X, X).compile().as_text()
    assert " sine(" in text


def test_derivatives_are_those_of_the_array():
    dx, ddone = jax.grad(lambda x, y: jnp.sum(x**2 * computed_after(x, y)), argnums=(0, 1))(X[:2], X)
    np.testing.assert_allclose(dx, 3 * X[:2] ** 2)
    np.testing.assert_array_equal(ddone, jnp.zeros_like(X))


def test_an_array_that_is_not_mapped_stays_so_if_what_is_first_is_mapped():
    done = jnp.arange(12.0).reshape(4, 3)
    one = jax.vmap(computed_after, (None, 0), out_axes=None)(X, done)  # an error if the result were mapped
    np.testing.assert_array_equal(one, X)
    np.testing.assert_array_equal(jax.vmap(computed_after)(done, done), done)


@pytest.mark.parametrize("apply", [convolve, convolve_transposed])
def test_the_derivative_in_the_image_waits_for_that_in_the_kernel_only_if_both_are_asked_for(apply):
    x, kernel = jnp.ones((2, 24, 24, 32)), jnp.ones((4, 4, 32, 32))

    def operations(argnums):
        def derivative_in_the_image(x, kernel):
            return jax.grad(lambda *a: jnp.sum(jnp.sin(apply(*a, strides=(2, 2)))), argnums)(x, kernel)[0]

        text = jax.jit(derivative_in_the_image).lower(x, kernel).compile().as_text()
        return sum(text.count(name) for name in (" convolution(", " dot(", "__onednn$"))

    assert operations((0, 1)) > operations((0,))
