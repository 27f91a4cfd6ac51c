"""The KL by step of a model whose z has steps."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.types import Batch
from tests.evaluation.test_latents import chain_model

SHAPE, KEY = (2, 2, 1), jax.random.key(5)
IMAGES = jnp.array(list(product([0, 1], repeat=4)), jnp.float32).reshape(16, *SHAPE)  # all there are
MODEL = gx.draw_model(SHAPE, 2, 2, 3, gx.bernoulli(SHAPE))
VARIABLES = jax.tree.map(
    lambda leaf: jax.random.normal(jax.random.fold_in(KEY, leaf.size), leaf.shape), MODEL.init(KEY, Batch(IMAGES))
)


def test_the_sum_over_steps_is_the_kl_of_the_bound():
    kl = jax.jit(partial(gx.kl_by_step, MODEL, num_samples=3))(VARIABLES, KEY, IMAGES)
    bound = jax.jit(partial(gx.held_out_bound, MODEL, num_samples=3))(VARIABLES, KEY, IMAGES)
    assert kl.shape == (16, 2)
    assert np.all(kl > 0)
    np.testing.assert_allclose(kl.sum(axis=1), bound["kl"], rtol=1e-5)


def test_a_q_without_steps_is_refused():
    with pytest.raises(ValueError, match="q must have steps, as that of DRAW has, got"):
        gx.kl_by_step(chain_model(), {}, KEY, jnp.zeros((3, 2)))
