"""Systems on data with known factors: which latent is which factor?"""

from functools import partial

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.evaluation.factor_figures import FactorFigures, factor_figures
from genjax_models.evaluation.interpolation import walk_along
from genjax_models.figures import pictures
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System

_REACH, _STEPS = 3.0, 11


def with_known_factors(system: System, player: str, names: tuple[str, ...]) -> System:
    """Returns the system with findings on known factors, a walk over each latent and the table of R^2.

    Args:
      system: its model has one stochastic layer.
      player: the player with the model's variables.
      names: of the factors.
    """
    model: LatentVariableModel = system.model

    def figures(players, data):
        facts, shown = system.figures(players, data)
        variables, test = players[player], data.test
        usage = jax.jit(lambda x, label: gx.latent_usage(model, variables, x, label=label))(test.x, None)
        if not bool(usage.active.any()):
            return facts, shown
        known = factor_figures(usage.means, test.factors, names, active=usage.active)
        shown = [*shown, pictures.readings(known)]
        if pictures.drawable(test.x.shape[1:]):
            generate = jax.jit(partial(model.generate, variables))
            latent = usage.means.shape[1]
            z = walk_along(usage.means[0], jnp.eye(latent), _REACH, _STEPS).reshape(-1, latent)
            content = (
                "A row per latent, with the factor that it reads best and R^2; all else as the first test image has it"
            )
            shown.append(pictures.latent_walk(generate(z), _titles(known), content, _REACH, data.range))
        return facts._replace(factors=known), shown

    return system._replace(figures=figures)


def _titles(known: FactorFigures) -> list[str]:
    """Returns a title per latent, with the factor that it reads best."""
    titles = []
    for code, row in enumerate(known.readings.one_code):
        if not known.gap.active[code]:
            titles.append(f"latent {code}, inactive")
            continue
        k = int(row.argmax())
        titles.append(f"latent {code}, {known.names[k]} {row[k]:.2f}")
    return titles
