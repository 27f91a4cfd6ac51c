"""A generator without an encoder is the part of the latent-variable model that generates."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

import genjax_models as gx
from genjax_models.models.generator import generator_model
from genjax_models.types import Batch

KEY = jax.random.key(0)


def models():
    posterior, likelihood = gx.diagonal_gaussian(2), gx.gaussian((3, 2), "isotropic")
    generator = gx.MLPGenerator(likelihood.outputs, (8,))
    whole = gx.latent_variable_model(gx.MLPEncoder((3, 2), posterior.outputs, (8,)), posterior, generator, likelihood)
    return generator_model(generator, likelihood, 2), whole


def test_it_reads_the_variables_of_a_latent_variable_model_and_has_none_of_an_encoder():
    alone, whole = models()
    batch = Batch(jnp.zeros((1, 3, 2)))
    variables, own = whole.init(KEY, batch), alone.init(KEY, batch)
    assert set(own["params"]) == {"generator"}
    chex.assert_trees_all_equal_shapes(own["params"]["generator"], variables["params"]["generator"])
    z, x = jax.random.normal(KEY, (5, 4, 2)), jax.random.normal(KEY, (4, 3, 2))
    np.testing.assert_array_equal(
        alone.likelihood(variables, z).log_prob(x), whole.likelihood(variables, z).log_prob(x)
    )
    np.testing.assert_array_equal(alone.prior(variables).log_prob(z), whole.prior(variables).log_prob(z))
    for mean in (False, True):
        np.testing.assert_array_equal(
            alone.sample(variables, KEY, 6, mean=mean), whole.sample(variables, KEY, 6, mean=mean)
        )
    np.testing.assert_array_equal(alone.generate(variables, z), whole.generate(variables, z))
