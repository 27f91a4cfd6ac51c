"""A VAE with an MMD between its aggregate posterior and the prior: Zhao et al., 2017; Tolstikhin et al., 2018."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms
from genjax_models.estimators.kernels import Kernel
from genjax_models.estimators.mmd import mmd_squared_unbiased
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
from genjax_models.types import Array, Aux, Objective


def info_vae(
    model: LatentVariableModel,
    kernel: Kernel,
    *,
    alpha: float | Array = 1.0,
    mmd_weight: float | Array = 1_000.0,
    form: Form = "kl",
) -> Objective:
    """Returns an objective with one player, "info_vae".

    It raises reconstruction - (1 - alpha) KL - mmd_weight MMD^2(q(z), p(z)).

    The KL, of q(z | x) from p(z), pulls the posterior of every x to the prior, so that z says little of x. The MMD
    pulls only their mean over data, q(z). Zhao et al. (Eq. 6) write alpha + lambda - 1 for mmd_weight. With alpha = 1
    this is their MMD-VAE; with a Gaussian likelihood of fixed scale it is also the WAE-MMD of Tolstikhin et al., whose
    cost is the squared error. With alpha = 0 and no MMD it is the `vae`.

    The MMD^2 is the unbiased estimate from one draw of q(z | x) per example of the batch, and as many of the prior. It
    compares the batch as a whole, on any number of devices. Networks learn in learning mode; batch statistics move by
    the z of the bound.

    Args:
      model: a model of one stochastic layer, so that z is one array.
      kernel: kernel on z; `rational_quadratic_kernel(sqrt(latent))` is the inverse multiquadratic kernel of Tolstikhin
        et al., C / (C + d^2) with C = 2 latent.
      alpha: 1 leaves out the KL of each example, 0 charges all of it.
      mmd_weight: weight of MMD^2 relative to a mean over examples in nats.
      form: estimator of the KL; see `estimators.elbo`.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" (nats) and "mmd_squared_unbiased". `sample` draws from
      p(x).

    Raises:
      ValueError: from the loss, while tracing, a z of several arrays, or as `elbo_terms`.
    """

    def loss(variables, key, batch, step):
        bound_key, posterior_key, prior_key = jax.random.split(key, 3)
        learned = learning_mode(model, variables["info_vae"], key, batch)
        posterior, prior = learned.posterior, learned.prior
        terms = elbo_terms(bound_key, batch.x, posterior, prior, learned.likelihood, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        posterior_z = posterior.sample(seed=posterior_key)
        if not isinstance(posterior_z, Array):
            raise ValueError(f"the MMD needs one array z, got a {type(posterior_z).__name__}")
        prior_z = prior.sample(seed=prior_key, sample_shape=len(batch.x))
        squared = mmd_squared_unbiased(posterior_z, prior_z, kernel)
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl}
        metrics["mmd_squared_unbiased"] = squared
        moved = learned.moved(posterior.sample(seed=bound_key, sample_shape=1))
        return -(reconstruction - (1 - alpha) * kl - mmd_weight * squared), Aux(metrics, {"info_vae": moved})

    return Objective(
        init=lambda key, batch: {"info_vae": model.init(key, batch)},
        losses={"info_vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["info_vae"], key, n, label=label),
        range=model.support,
    )
