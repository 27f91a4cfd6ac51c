"""Systems around a `LatentVariableModel` whose decoder sees the pixels before each pixel: pictures are draws."""

from typing import Any

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.figures import pictures
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.latent_variable import latent_variable_system
from genjax_models.types import Objective

_LATENTS = 8  # rows of the picture of draws
_DRAWS = 8  # draws per row


def autoregressive_system(
    config: Any, objective: Objective, model: LatentVariableModel, *, judge_samples: int
) -> System:
    """Wires a one-player objective on a model with an autoregressive p(x | z).

    Args:
      config: with the groups data, likelihood, networks, training and optimizer.
      objective: has one player.
      model: of that player.
      judge_samples: k of NLL(k) on the test split.
    """
    (player,) = objective.losses

    def test_metrics(players, key, batch):
        return gx.negative_log_likelihood(model, players[player], key, batch.x, num_samples=judge_samples)

    def figures(players, data):
        facts, shown = system.figures(players, data)
        if pictures.drawable(config.data.shape):
            x = data.test.x[:_LATENTS]
            draws = jax.jit(lambda variables, x: draws_of_one_latent(model, variables, x))(players[player], x)
            shown.insert(0, pictures.draws_of_one_latent(x, draws, data.range))
        return facts._replace(num_samples=judge_samples), shown

    system = latent_variable_system(config, objective, model, test_metrics=test_metrics)
    return system._replace(figures=figures, slow_draw=True)


def draws_of_one_latent(model: LatentVariableModel, variables: Any, x: Any) -> Any:
    """Returns draws of p(x | z) for one z of q(z | x) per image, `[n, 8, *shape]`: z is the same in a row."""
    latent_key, data_key = jax.random.split(jax.random.key(0))
    z = model.posterior(variables, x).sample(seed=latent_key)
    draws = model.likelihood(variables, z).sample(seed=data_key, sample_shape=_DRAWS)
    return jnp.moveaxis(draws, 0, 1)
