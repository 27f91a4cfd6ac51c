"""A generator that starts at the mean of the data, for every z: Burda, Grosse and Salakhutdinov, 2015."""

from typing import TypeVar

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.distributions import logits_of_mean
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.sequential import SequentialModel, time_first
from genjax_models.types import Array, Batch, PRNGKey, Variables

Model = TypeVar("Model", LatentVariableModel, SequentialModel)


def starting_at_data_mean(model: Model, generator: str = "generator") -> Model:
    """Returns the model with another start: the output bias of its Bernoulli likelihood is the logit of the data mean.

    With a bias of zero, all hidden units would first learn that most pixels are mostly off.

    Args:
      model: its generator emits "logits" by a linear layer with a bias. For a `SequentialModel` the mean is over all
        true steps.
      generator: name of the generator in the params: "generators_0" in a model of several layers.

    Returns:
      The model. Its `init` needs a batch of many examples, and raises ValueError if there is no such bias.
    """

    def init(key: PRNGKey, batch: Batch) -> Variables:
        variables = model.init(key, batch)
        mean = _mean_step(batch) if isinstance(model, SequentialModel) else jnp.mean(batch.x, axis=0)
        path = generator, "logits", "bias"
        return {**variables, "params": _with_bias(variables["params"], path, logits_of_mean(mean))}

    return model._replace(init=init)


def _mean_step(batch: Batch) -> Array:
    """Returns the mean of all true steps of sequences."""
    x, mask = time_first(batch.x, batch.length)
    return jnp.sum(x, axis=(0, 1)) / jnp.sum(mask)


def _with_bias(params: Variables, path: tuple[str, ...], bias: Array) -> Variables:
    name, *rest = path
    if name not in params or (not rest and np.shape(params[name]) != bias.shape):
        raise ValueError(f"the generator needs a bias of the logits of {bias.size} pixels, got {sorted(params)}")
    return {**params, name: _with_bias(params[name], tuple(rest), bias) if rest else bias}
