"""A draw that copies each place's output must be a fixed point of the whole network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.networks.drawing import draw_by_numbers, draw_by_pixels
from genjax_models.networks.outputs import Output

KEY, LEAD = jax.random.key(0), (2, 3)


def with_noise(variables):
    """Random biases too: no place has the outputs of another."""
    return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), variables)


def check(network, draw_by, condition, fixed_by_place):
    """Checks x = tanh(mean(x) + constant) at all places, where the draw knows only the places before."""
    variables = with_noise(jax.jit(network.init)(KEY, jnp.zeros((*LEAD, *network.shape)), condition))

    def choose(key, parameters):
        assert parameters["whole"].shape == (6,)
        return jnp.tanh(parameters["mean"] + parameters["constant"]).reshape(6, -1)

    x = jax.jit(lambda variables: draw_by(network, variables, KEY, choose, LEAD, condition))(variables)
    emitted = jax.jit(network.apply)(variables, x, condition)
    np.testing.assert_allclose(x, jnp.tanh(emitted["mean"] + emitted["constant"]), atol=1e-6)
    assert len(np.unique(np.round(x, 3))) > fixed_by_place  # rows of the batch differ


def emits(shape):
    return {"mean": Output(shape), "constant": Output(shape, of_input=False), "whole": Output((), of_input=False)}


@pytest.mark.parametrize("order", [None, (5, 2, 6, 1, 3, 4)])
def test_a_made_draws_in_its_order(order):
    condition = jax.random.normal(KEY, (3, 2))  # without the first axis of the draws
    check(gx.MADE((2, 3), emits((2, 3)), (9, 8), order, jnp.tanh), draw_by_numbers, condition, 6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "options", "condition"),
    [
        ((4, 5, 2), (3, 3, 3, 5), (2, 3, 4, 5, 2)),
        pytest.param((5, 3, 1), (2, 2, 5, 3), (3, 2), marks=pytest.mark.slow),
    ],
)
def test_a_pixel_cnn_draws_row_by_row(shape, options, condition):
    """Kernels are larger and smaller than images; the condition is an image, or a vector."""
    network = gx.GatedPixelCNN(shape, emits(shape), *options)
    check(network, draw_by_pixels, jax.random.normal(KEY, condition), np.prod(shape))
