"""The infinite mixture p(x) = E_{z ~ p(z)} N(x; g(z), sigma(z)^2 I), Eq. (1.6), learned by Monte Carlo from the prior.

    max over g, sigma of  mean_x log 1/M sum_i p(x | z_i),   z_i ~ p(z)

This is Eq. (1.12) with the 1/M inside the log, where Eq. (1.11) has it; the draft prints it outside, and minimises.
"""

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.importance import log_mean_exp
from genjax_models.models.generator import GeneratorModel
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Aux, Objective


def infinite_mixture(model: GeneratorModel | LatentVariableModel, *, num_samples: int) -> Objective:
    """One player, "infinite_mixture", that raises the estimate of log p(x), mean over the batch.

    The M latents of a step are drawn once and shared by the whole batch: a step is M evaluations of the generator, and
    every example has all M components to choose from. Draws of each example's own, at the same cost, would leave it
    M / batch. Each example's estimate has the distribution of `estimators.importance.log_likelihood_from_prior`
    either way: low by about R / 2M, R the relative variance of p(x | z) under the prior, and so is its gradient
    biased. What sharing changes is that errors within a batch are correlated, so that the noise of the mean over the
    batch falls with M and no longer with the batch.

    Args:
      model: prior and likelihood. Of a `LatentVariableModel` the encoder would be carried along, never moved: see
        `models.generator.generator_model` for one without.
      num_samples: M, at least 1. At M = 1 this is E_p(z)[log p(x | z)], and the best is one Gaussian for all z.

    Returns:
      An `Objective` that reports "log_likelihood" (nats), the estimate from M draws. `sample` draws from p(x).

    Raises:
      ValueError: M that is no integer of at least 1.
    """
    check_num_samples(num_samples)

    def loss(variables, key, batch, step):
        variables = variables["infinite_mixture"]
        z = model.prior(variables).sample(seed=key, sample_shape=num_samples)
        beside = jax.tree.map(lambda a: a[:, None], z)  # [M, 1, ...]: each component for every example
        log_likelihoods = model.likelihood(variables, beside).log_prob(batch.x)  # [M, batch]
        log_likelihood = jnp.mean(log_mean_exp(log_likelihoods))
        return -log_likelihood, Aux({"log_likelihood": log_likelihood})

    return Objective(
        init=lambda key, batch: {"infinite_mixture": model.init(key, batch)},
        losses={"infinite_mixture": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["infinite_mixture"], key, n),
    )
