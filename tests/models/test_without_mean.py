"""A model without E[x | z] says so in one line where a mean is asked for, and shows draws."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel, standard_normal

SHAPE, KEY = (2, 2, 1), jax.random.key(0)


class OnlyDraws(distrax.Independent):
    """Bits that tell nobody their mean."""

    def mean(self):
        raise AssertionError("a mean was asked for")


def likelihood(variables, z, label=None):
    return OnlyDraws(distrax.Bernoulli(jnp.broadcast_to(z[..., None, None], (*z.shape[:-1], *SHAPE)), dtype=z.dtype), 3)


MODELS = {
    "latent variable": LatentVariableModel(
        init=lambda key, batch: {"params": {}},
        posterior=lambda variables, x, label=None: standard_normal(1),
        prior=lambda variables, label=None: standard_normal(1),
        likelihood=likelihood,
        has_mean=False,
    ),
    "generator": GeneratorModel(
        lambda key, batch: {"params": {}}, lambda v, label=None: standard_normal(1), likelihood, has_mean=False
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_mean_is_refused_in_one_line_and_pictures_are_draws(name):
    model, z = MODELS[name], jnp.zeros((5, 1))
    line = r"^{} needs E\[x \| z\], and this model has none: p\(x \| z\) can only be drawn from\. Use draws of x$"
    with pytest.raises(InputError, match=line.format("generate")):
        model.generate({}, z)
    with pytest.raises(InputError, match=line.format("sample")):
        model.sample({}, KEY, 5, mean=True)
    for draws in (model.shown({}, KEY, z), model.sample({}, KEY, 5)):
        assert draws.shape == (5, *SHAPE)
        assert set(np.unique(draws)) == {0, 1}


def test_a_model_with_a_mean_shows_it():
    likelihood = gx.bernoulli(SHAPE)
    model = gx.generator_model(gx.MLPGenerator(likelihood.outputs, (3,)), likelihood, 1)
    variables, z = model.init(KEY, gx.Batch(jnp.zeros((1, *SHAPE)))), jnp.ones((5, 1))
    np.testing.assert_array_equal(model.shown(variables, KEY, z), model.generate(variables, z))
