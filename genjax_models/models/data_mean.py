"""A generator that starts at the mean of the data, whatever z is: Burda, Grosse and Salakhutdinov, 2015."""

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logit

from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Batch, PRNGKey, Variables

_INSIDE = 1e-3  # of pixels that are always off: their bias starts at -7, not at minus infinity


def starting_at_data_mean(model: LatentVariableModel, generator: str = "generator") -> LatentVariableModel:
    """The model, whose Bernoulli likelihood starts with its output's bias at the logit of the mean of `init`'s batch.

    A bias that starts at zero would first learn, and with it every hidden unit, that most pixels are mostly off.

    Args:
      model: whose generator emits "logits" by a linear layer with a bias.
      generator: the generator's name in the params: "generators_0" in a model of several layers.

    Returns:
      The model; its `init` wants a batch of many examples, and raises ValueError where there is no such bias.
    """

    def init(key: PRNGKey, batch: Batch) -> Variables:
        variables = model.init(key, batch)
        bias = logit(jnp.clip(jnp.mean(batch.x, axis=0), _INSIDE, 1 - _INSIDE)).ravel()
        return {**variables, "params": _with_bias(variables["params"], (generator, "logits", "bias"), bias)}

    return model._replace(init=init)


def _with_bias(params: Variables, path: tuple[str, ...], bias: Array) -> Variables:
    name, *rest = path
    if name not in params or (not rest and np.shape(params[name]) != bias.shape):
        raise ValueError(f"the generator has no bias of the logits of {bias.size} pixels: found {sorted(params)}")
    return {**params, name: _with_bias(params[name], tuple(rest), bias) if rest else bias}
