"""Systems around a `DensityModel`: judged by the exact log-likelihood of held-out data, shown by draws."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.evaluation.findings import Facts
from genjax_models.figures import pictures
from genjax_models.models import DensityModel, Family
from genjax_models.runs.protocol import System
from genjax_models.systems.groups import Likelihood
from genjax_models.types import Array, Objective, Shape, Variables

_DRAWN = 12  # draws of each component in a picture


def family_by_number(likelihood: Likelihood) -> Callable[[Shape], Family]:
    """Returns shape -> family of independent numbers, as autoregressive models take it.

    Raises:
      InputError: the scale is one number per example, which would depend on all numbers.
    """
    if likelihood.scale == "isotropic":
        raise InputError("scale must be global, diagonal or a number, got isotropic, which is one per example")
    return likelihood.build


def density_system(config: Any, objective: Objective, model: DensityModel) -> System:
    """Wires `objectives.maximum_likelihood` on a model with an exact log-density.

    Args:
      config: with the groups data, likelihood, training and optimizer.
      objective: has one player.
      model: of that player.
    """
    (player,) = objective.losses

    def evaluate(players, key, batch):
        return {"log_likelihood": model.distribution(players[player]).log_prob(batch.x)}

    def draw(players, key, n, label=None):
        return model.sample(players[player], key, n)

    def figures(players, data):
        family = config.likelihood.family
        return Facts(bernoulli=family == "bernoulli", density=family == "gaussian", values=data.validation.x), []

    trainer = gx.trainer(objective, config.optimizer.build(config.training.steps))
    system = System(objective, trainer, config.likelihood.prepare, evaluate, draw, figures, model=model, slow_draw=True)
    group = config.likelihood
    return system._replace(likelihood=group.family, binarise=group.binarise, density_range=group.density_range)


def with_draws_by_component(config: Any, system: System) -> System:
    """Returns the system of a mixture, which knows the weights, with a further picture: draws of each component.

    Args:
      config: with the group data. Data that are no images have no such picture.
      system: its model is a `mixture_model`.
    """
    (player,) = system.objective.losses

    @jax.jit
    def rows(variables: Variables) -> Array:
        mixture = system.model.distribution(variables)
        keys = jax.random.split(jax.random.key(0), len(mixture.components))
        parts = zip(mixture.components, keys, strict=True)
        draws = [component.sample(seed=key, sample_shape=_DRAWN) for component, key in parts]
        return jnp.concatenate(draws)

    def figures(players, data):
        facts, shown = system.figures(players, data)
        weights = jax.jit(lambda variables: system.model.distribution(variables).weights)(players[player])
        facts = facts._replace(components=weights)
        if not pictures.drawable(config.data.shape):
            return facts, shown
        draws = rows(players[player])
        titles = [f"weight {weight:.2f}" for weight in weights]
        return facts, [*shown, pictures.draws_by_component(draws, titles, data.range)]

    return system._replace(figures=figures)
