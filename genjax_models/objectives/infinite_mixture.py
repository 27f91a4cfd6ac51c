"""The infinite mixture p(x) = E_{z ~ p(z)} N(x; g(z), sigma(z)^2 I), Eq. (1.6), learned by Monte Carlo from the prior.

    max over g, sigma of  mean_x log 1/M sum_i p(x | z_i),   z_i ~ p(z)

This is Eq. (1.12) with the 1/M inside the log, as in Eq. (1.11); the draft prints it outside, and minimises.
"""

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.importance import log_mean_exp
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
from genjax_models.types import Aux, Objective


def infinite_mixture(model: GeneratorModel | LatentVariableModel, *, num_samples: int) -> Objective:
    """Returns an objective with one player, "infinite_mixture", that raises the estimate of log p(x).

    The estimate is a mean over the batch. The M latents of a step are drawn once and shared by the whole batch: a step
    is M evaluations of the generator, and every example has all M components. Separate draws per example, at the same
    cost, would leave each example M / batch components. Each example's estimate has the distribution of
    `estimators.importance.log_likelihood_from_prior` either way: low by about R / 2M, with R the relative variance of
    p(x | z) under the prior; its gradient is biased accordingly. With shared draws the errors within a batch are
    correlated: the noise of the mean over the batch falls with M, and not with the batch.

    The generator learns in learning mode; batch normalisation sees the M latents as one batch.

    Args:
      model: prior and likelihood, not conditional. The encoder of a `LatentVariableModel` never learns: see
        `models.generator.generator_model` for a model without an encoder.
      num_samples: M, at least 1. At M = 1 the loss is -E_p(z)[log p(x | z)], and the optimum is one Gaussian for all z.

    Returns:
      An `Objective` that reports "log_likelihood" (nats), the estimate from M draws. `sample` draws from p(x).

    Raises:
      ValueError: M is no integer of at least 1.
    """
    check_num_samples(num_samples)

    def loss(variables, key, batch, step):
        learned = learning_mode(model, variables["infinite_mixture"], key, batch._replace(label=None))
        z = learned.prior.sample(seed=key, sample_shape=num_samples)
        z = jax.tree.map(lambda a: a[:, None], z)  # [M, 1, ...]: each component for every example
        log_likelihoods = learned.likelihood(z).log_prob(batch.x)  # [M, batch]
        log_likelihood = jnp.mean(log_mean_exp(log_likelihoods))
        moved = learned.moved(z)
        return -log_likelihood, Aux({"log_likelihood": log_likelihood}, {"infinite_mixture": moved})

    return Objective(
        init=lambda key, batch: {"infinite_mixture": model.init(key, batch)},
        losses={"infinite_mixture": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["infinite_mixture"], key, n),
    )
