"""Maximum likelihood of a model whose log-density is exact: a MADE, a PixelCNN, a finite mixture."""

import jax.numpy as jnp

from genjax_models.models.density import DensityModel
from genjax_models.models.learning import dropout_key
from genjax_models.types import Aux, Objective


def maximum_likelihood(model: DensityModel, *, player: str = "model") -> Objective:
    """Returns an objective with one player that raises log p(x), mean over the batch.

    Networks with dropout learn in learning mode; the reported log-likelihood is then the one with dropped units.

    Args:
      model: p(x).
      player: name of the player.

    Returns:
      An `Objective` that reports "log_likelihood" (nats). `sample` draws from p(x).
    """

    def loss(variables, key, batch, step):
        if model.learning is None:
            density = model.distribution(variables[player])
        else:
            density = model.learning(variables[player], dropout_key(key))
        log_likelihood = jnp.mean(density.log_prob(batch.x))
        return -log_likelihood, Aux({"log_likelihood": log_likelihood})

    return Objective(
        init=lambda key, batch: {player: model.init(key, batch)},
        losses={player: loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables[player], key, n),
        range=model.support,
    )
