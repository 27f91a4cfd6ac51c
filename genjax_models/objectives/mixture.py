"""The finite mixture, learned by maximum likelihood: log p(x) of Eq. (1.5) is a sum, computed exactly."""

import jax.numpy as jnp

from genjax_models.models.mixture import MixtureModel
from genjax_models.types import Aux, Objective


def mixture(model: MixtureModel) -> Objective:
    """Returns an objective with one player, "mixture", that raises log p(x), mean over the batch.

    There are many maxima: components are interchangeable, and some starts leave components unused. With full batches,
    EM reaches the same maxima.

    Returns:
      An `Objective` that reports "log_likelihood" (nats). `sample` draws from p(x).
    """

    def loss(variables, key, batch, step):
        log_likelihood = jnp.mean(model.distribution(variables["mixture"]).log_prob(batch.x))
        return -log_likelihood, Aux({"log_likelihood": log_likelihood})

    return Objective(
        init=lambda key, batch: {"mixture": model.init(key, batch)},
        losses={"mixture": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["mixture"], key, n),
    )
