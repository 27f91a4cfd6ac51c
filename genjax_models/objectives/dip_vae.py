"""The DIP-VAE: a VAE whose q(z) has a covariance near the identity (Kumar, Sattigeri and Balakrishnan, 2018)."""

from typing import Literal, get_args

import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.estimators.total_correlation import covariance_penalty, gaussian_parameters
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
from genjax_models.types import Array, Aux, Objective

Kind = Literal["i", "ii"]


def dip_vae(
    model: LatentVariableModel,
    *,
    kind: Kind = "ii",
    off_diagonal_weight: float | Array = 10.0,
    diagonal_weight: float | Array = 10.0,
    form: Form = "kl",
) -> Objective:
    """Returns an objective with one player, "dip_vae".

    It raises the bound - off_diagonal_weight sum_{i != j} C_ij^2 - diagonal_weight sum_i (C_ii - 1)^2. C is the
    covariance over the batch as a whole, on any number of devices: of the means of q(z | x) in kind "i", Eq. (6) of
    Kumar et al., and of q(z) in kind "ii", Eq. (7). Without correlation the dimensions need not be independent.

    Networks learn in learning mode; batch statistics move by the z of the bound.

    Args:
      model: a model whose q(z | x) is a Gaussian of independent dimensions.
      kind: "i" or "ii".
      off_diagonal_weight: lambda_od of Kumar et al.
      diagonal_weight: lambda_d of Kumar et al., who use 10 lambda_od for kind "i" and lambda_od for kind "ii".
      form: estimator of the KL; see `estimators.elbo`.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" (nats), and both sums, before their weights, as
      "off_diagonal" and "diagonal". `sample` draws from p(x).

    Raises:
      ValueError: an unknown kind; from the loss, while tracing, another q(z | x), or a batch of fewer than 2.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {get_args(Kind)}, got {kind!r}")

    def loss(variables, key, batch, step):
        learned = learning_mode(model, variables["dip_vae"], key, batch)
        posterior = learned.posterior
        mean, log_variance = gaussian_parameters(posterior)
        penalty = covariance_penalty(mean, jnp.exp(log_variance) if kind == "ii" else None)
        terms = elbo_terms(key, batch.x, posterior, learned.prior, learned.likelihood, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl, **penalty._asdict()}
        charged = off_diagonal_weight * penalty.off_diagonal + diagonal_weight * penalty.diagonal
        moved = learned.moved(posterior.sample(seed=key, sample_shape=1))
        return charged - metrics["bound"], Aux(metrics, {"dip_vae": moved})

    return Objective(
        init=lambda key, batch: {"dip_vae": model.init(key, batch)},
        losses={"dip_vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["dip_vae"], key, n, label=label),
        range=model.support,
    )
