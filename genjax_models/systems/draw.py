"""The system around a `LatentVariableModel` that paints in steps: canvases with their windows, and the KL by step."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import genjax_models as gx
from genjax_models.data import Prepared
from genjax_models.figures import canvas_plots, pictures
from genjax_models.figures.pictures import Picture
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.latent_variable import latent_variable_system
from genjax_models.types import Objective, Variables

_ROWS = 6  # images whose canvases are drawn
_KEY = 2**31  # apart from the keys of the other pictures


def draw_system(config: Any, objective: Objective, model: LatentVariableModel) -> System:
    """Returns the `latent_variable_system`, with pictures of the steps.

    Args:
      config: with the groups data, likelihood, training and optimizer.
      objective: of one player.
      model: has `canvases`, and a q that is an `Autoregressive`.
    """
    (player,) = objective.losses
    system = latent_variable_system(config, objective, model)

    def figures(players, data):
        facts, shown = system.figures(players, data)
        return facts, [*_figures(model, players[player], data), *shown]

    return system._replace(figures=figures, prepare=config.likelihood.prepare)


def _figures(model: LatentVariableModel, variables: Variables, data: Prepared) -> list[Picture]:
    """Returns the canvas by step of test images and of draws, and the KL by step over the test split."""
    key = jax.random.fold_in(jax.random.key(0), _KEY)
    test, shown = data.test, []
    if pictures.drawable(test.x.shape[1:]):
        rows = test.x[:_ROWS]
        z = jnp.concatenate(
            [
                model.posterior(variables, rows).sample(seed=key),
                model.prior(variables).sample(seed=key, sample_shape=_ROWS),
            ]
        )
        images = np.asarray(jax.jit(model.canvases)(variables, z))
        reads, writes = (None, None) if model.windows is None else jax.device_get(jax.jit(model.windows)(variables, z))
        shown.append(canvas_plots.canvases(rows, images, reads, writes, data.range))
    kl = jax.jit(partial(gx.kl_by_step, model))(variables, key, test.x)
    return [*shown, canvas_plots.kl_by_step(kl)]
