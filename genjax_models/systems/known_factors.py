"""Systems on data with known factors: which latent is which factor?"""

from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.evaluation.factor_figures import FactorFigures, factor_figures
from genjax_models.evaluation.interpolation import walk_along
from genjax_models.figures import pictures
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.latent_variable import usage_by_layer
from genjax_models.types import Array, PRNGKey, Variables

_REACH, _STEPS = 3.0, 11
_READS = 0.1  # R^2 from which a title names the factor


def with_known_factors(system: System, player: str, names: tuple[str, ...]) -> System:
    """Returns the system with findings on known factors, a walk over each latent and the table of R^2.

    Args:
      system: its model has one stochastic layer, and takes no label.
      player: the player with the model's variables.
      names: of the factors.
    """
    model: LatentVariableModel = system.model

    def figures(players, data):
        facts, shown = system.figures(players, data)
        variables, test = players[player], data.test
        (usage,) = usage_by_layer(model, variables, jax.random.key(0), test.x, None)
        if not bool(usage.active.any()):
            return facts, shown
        known = factor_figures(usage.means, test.factors, names, active=usage.active)
        shown = [*shown, pictures.readings(known)]
        if pictures.drawable(test.x.shape[1:]):
            content = (
                f"A row per latent, with the factor that it reads best, from an R² of {_READS:g}; all else as in the"
                " first test image"
            )
            walk = _walk(model, variables, jax.random.key(0), usage.means[0])
            shown.append(pictures.latent_walk(walk, _titles(known), content, _REACH, data.range))
        return facts._replace(factors=known), shown

    return system._replace(figures=figures)


@partial(jax.jit, static_argnums=0)
def _walk(model: LatentVariableModel, variables: Variables, key: PRNGKey, start: Array) -> Array:
    """Returns images `[latent * steps, *shape]`: a row per latent, all from `start` `[latent]`."""
    z = walk_along(start, jnp.eye(len(start)), _REACH, _STEPS)
    return model.shown(variables, key, z.reshape(-1, len(start)))


def _titles(known: FactorFigures) -> list[str]:
    """Returns a title per latent, with the factor that it reads best, if it reads one."""
    titles = []
    for code, row in enumerate(known.readings.one_code):
        best = f": {known.names[int(row.argmax())]}, R² {row.max():.2f}" if row.max() >= _READS else ""
        titles.append(f"latent {code}{best if known.gap.active[code] else ', inactive'}")
    return titles
