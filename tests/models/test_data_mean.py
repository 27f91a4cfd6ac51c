"""A generator that starts at the mean of the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.types import Batch

SHAPE = (3, 2, 1)
X = (np.random.RandomState(0).uniform(size=(200, *SHAPE)) < 0.3).astype(np.float32)
X[:, 0, 0] = 0  # a pixel that is never on
KEY = jax.random.key(0)


def model_of(generator, likelihood):
    posterior = gx.diagonal_gaussian(2)
    return gx.latent_variable_model(gx.MLPEncoder(SHAPE, posterior.outputs, ()), posterior, generator, likelihood)


def test_at_the_origin_the_generator_draws_the_mean():
    likelihood = gx.bernoulli(SHAPE)
    plain = model_of(gx.MLPGenerator(likelihood.outputs, ()), likelihood)
    model = gx.starting_at_data_mean(plain)
    variables = jax.jit(model.init)(KEY, Batch(X))
    expected = np.clip(X.mean(axis=0), 1e-3, 1)
    np.testing.assert_allclose(model.generate(variables, jnp.zeros((1, 2)))[0], expected, rtol=1e-5)
    others = jax.tree.map(np.array_equal, variables, plain.init(KEY, Batch(X)))["params"]
    assert others["generator"]["logits"].pop("bias") is False
    assert all(jax.tree.leaves(others))


def test_of_several_layers_it_is_the_lowest_that_starts_there():
    q, p = gx.diagonal_gaussian(2), gx.bernoulli(SHAPE)
    encoders = gx.MLPEncoder(SHAPE, q.outputs, ()), gx.MLPEncoder((2,), q.outputs, ())
    generators = gx.MLPGenerator(p.outputs, ()), gx.MLPGenerator(q.outputs, ())
    model = gx.starting_at_data_mean(gx.hierarchical_model(encoders, (q, q), generators, (p, q)), "generators_0")
    z = jnp.zeros((1, 2)), jnp.zeros((1, 2))
    start = model.generate(model.init(KEY, Batch(X)), z)[0]
    np.testing.assert_allclose(start, np.clip(X.mean(axis=0), 1e-3, 1), rtol=1e-5)


@pytest.mark.parametrize("likelihood", [gx.gaussian(SHAPE, "global"), gx.bernoulli(SHAPE)])
def test_a_generator_without_such_a_bias_is_refused(likelihood):
    channels = gx.ConvolutionalGenerator(likelihood.outputs, (2,), ())
    with pytest.raises(ValueError, match="the generator needs a bias of the logits of 6 pixels"):
        gx.starting_at_data_mean(model_of(channels, likelihood)).init(KEY, Batch(X))
