"""A generator that starts at the mean of the data, for every z: Burda, Grosse and Salakhutdinov, 2015."""

from typing import Literal, TypeVar

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.distributions import logits_of_mean
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.sequential import SequentialModel, time_first
from genjax_models.types import Array, Batch, PRNGKey, Shape, Tracer, Variables

DataMean = Array | Literal["batch"] | None  # share of examples in which each unit is on
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


def mean_of(data_mean: DataMean, batch: Batch | None) -> Array:
    """Returns a mean that is given, or for "batch" the mean of the batch, float32 `[*shape]`."""
    if isinstance(data_mean, str):
        if batch is None:
            raise ValueError('data_mean "batch" needs a batch.')
        data_mean = jnp.mean(batch.x, axis=0)
    return jnp.asarray(data_mean, jnp.float32)


def check_data_mean(data_mean: DataMean, shape: Shape, name: str = "data_mean") -> None:
    """Raises ValueError if a mean has another shape or is outside [0, 1], or if it is a word other than "batch"."""
    if isinstance(data_mean, str):
        if data_mean != "batch":
            raise ValueError(f'{name} must be an array, "batch" or None, got {data_mean!r}')
    elif data_mean is not None:
        if np.shape(data_mean) != tuple(shape):
            raise ValueError(f"{name} must have the shape {tuple(shape)}, got {np.shape(data_mean)}")
        if (
            not isinstance(data_mean, Tracer)
            and not ((np.asarray(data_mean) >= 0) & (np.asarray(data_mean) <= 1)).all()
        ):
            raise ValueError(f"{name} must be in [0, 1], got {np.min(data_mean):g} to {np.max(data_mean):g}")


def _mean_step(batch: Batch) -> Array:
    """Returns the mean of all true steps of sequences."""
    x, mask = time_first(batch.x, batch.length)
    return jnp.sum(x, axis=(0, 1)) / jnp.sum(mask)


def _with_bias(params: Variables, path: tuple[str, ...], bias: Array) -> Variables:
    name, *rest = path
    if name not in params or (not rest and np.shape(params[name]) != bias.shape):
        raise ValueError(f"the generator needs a bias of the logits of {bias.size} pixels, got {sorted(params)}")
    return {**params, name: _with_bias(params[name], tuple(rest), bias) if rest else bias}
