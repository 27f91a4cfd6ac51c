"""The beta-TCVAE: a VAE that pays more for dependence between the dimensions of z (Chen et al., 2018)."""

import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.estimators.total_correlation import Weights, aggregate_log_densities, gaussian_parameters
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
from genjax_models.types import Array, Aux, Objective


def beta_tcvae(
    model: LatentVariableModel,
    *,
    dataset_size: int,
    total_correlation_weight: float | Array = 6.0,
    weights: Weights = "even",
    form: Form = "kl",
) -> Objective:
    """Returns an objective with one player, "beta_tcvae".

    It raises the bound - (total_correlation_weight - 1) TC, Eq. (4) of Chen et al. with alpha = gamma = 1, where TC is
    the total correlation of q(z). The KL of the bound holds one TC already, so the `vae` has weight 1.

    The estimate of TC compares every example of the batch with every other, on any number of devices. It uses the z of
    the bound. Networks learn in learning mode; batch statistics move by this z.

    Args:
      model: a model whose q(z | x) is a Gaussian of independent dimensions.
      dataset_size: N, the number of training examples.
      total_correlation_weight: beta of Chen et al.
      weights: weights of the estimate of q(z); see `estimators.total_correlation.aggregate_log_densities`.
      form: estimator of the KL; see `estimators.elbo`.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" and "total_correlation" (nats). The bound is the bound
      whatever the weight. The total correlation is by "even" weights whatever `weights` are, so that runs compare.
      `sample` draws from p(x).

    Raises:
      ValueError: from the loss, while tracing, another q(z | x), or as `aggregate_log_densities`.
    """

    def loss(variables, key, batch, step):
        learned = learning_mode(model, variables["beta_tcvae"], key, batch)
        posterior = learned.posterior
        codes = gaussian_parameters(posterior)
        terms = elbo_terms(key, batch.x, posterior, learned.prior, learned.likelihood, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        z = posterior.sample(seed=key, sample_shape=1)

        def total_correlation(weights):
            return aggregate_log_densities(z[0], *codes, dataset_size, weights).total_correlation

        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        metrics["total_correlation"] = total_correlation("even")
        charged = (total_correlation_weight - 1) * total_correlation(weights)
        return charged - metrics["bound"], Aux(metrics, {"beta_tcvae": learned.moved(z)})

    return Objective(
        init=lambda key, batch: {"beta_tcvae": model.init(key, batch)},
        losses={"beta_tcvae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["beta_tcvae"], key, n, label=label),
        range=model.support,
    )
