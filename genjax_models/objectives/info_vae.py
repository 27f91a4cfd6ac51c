"""A VAE whose posteriors are held to the prior as a whole, by an MMD: Zhao et al., 2017; Tolstikhin et al., 2018."""

from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.mmd import mmd_squared_unbiased
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Aux, Objective


def info_vae(
    model: LatentVariableModel,
    kernel: Kernel,
    *,
    alpha: float | Array = 1.0,
    mmd_weight: float | Array = 1_000.0,
    form: Form = "kl",
) -> Objective:
    """One player, "info_vae", that raises reconstruction - (1 - alpha) KL - mmd_weight MMD^2(q(z), p(z)).

    The KL, of q(z | x) from p(z), asks of every x that its posterior be the prior, and so that z say little of x; the
    MMD asks it of their mean over data, q(z), alone. Zhao et al. (Eq. 6) write alpha + lambda - 1 for mmd_weight. With
    alpha = 1 this is their MMD-VAE, and with a Gaussian likelihood of fixed scale the WAE-MMD of Tolstikhin et al.,
    whose cost is the squared error; with alpha = 0 and no MMD it is the `vae`.

    The MMD^2 is the unbiased one between a draw of q(z | x) for each example of the batch and as many of the prior, the
    batch as a whole, wherever its shards lie.

    Args:
      model: of one stochastic layer, so that z is one array.
      kernel: of z; `rational_quadratic_kernel(sqrt(latent))` is the inverse multiquadratic one of Tolstikhin et al.,
        C / (C + d^2) with C = 2 latent.
      alpha: 1 leaves out the KL of each example, 0 charges all of it.
      mmd_weight: of MMD^2 beside a mean over examples in nats.
      form: how the KL is estimated; see `estimators.elbo`.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" (nats) and "mmd_squared_unbiased". `sample` draws from
      p(x).

    Raises:
      ValueError: from the loss, while tracing, a z of several arrays, or as `elbo_terms`.
    """

    def loss(variables, key, batch, step):
        bound_key, posterior_key, prior_key = jax.random.split(key, 3)
        variables = variables["info_vae"]
        posterior, prior = model.posterior(variables, batch.x, batch.label), model.prior(variables, batch.label)
        likelihood = partial(model.likelihood, variables, label=batch.label)
        terms = elbo_terms(bound_key, batch.x, posterior, prior, likelihood, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        of_data = posterior.sample(seed=posterior_key)
        if not isinstance(of_data, Array):
            raise ValueError(f"the MMD is of one array z, and the model's is a {type(of_data).__name__}")
        of_prior = prior.sample(seed=prior_key, sample_shape=len(batch.x))
        squared = mmd_squared_unbiased(of_data, of_prior, kernel)
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        metrics["mmd_squared_unbiased"] = squared
        return -(reconstruction - (1 - alpha) * kl - mmd_weight * squared), Aux(metrics)

    return Objective(
        init=lambda key, batch: {"info_vae": model.init(key, batch)},
        losses={"info_vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["info_vae"], key, n, label=label),
    )
