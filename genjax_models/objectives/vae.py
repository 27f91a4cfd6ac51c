"""The variational autoencoder: encoder and generator learned together by the evidence lower bound (20.10.3)."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms, kl_by_dimension
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Array, Aux, Objective

Schedule = Callable[[Array], Array]


def vae(
    model: LatentVariableModel,
    *,
    num_samples: int = 1,
    form: Form = "kl",
    kl_weight: float | Array | Schedule = 1.0,
    free_bits: float | Array = 0.0,
) -> Objective:
    """One player, "vae", that raises the bound L(q) of Eq. (20.76), (20.77) or (1.28), mean over the batch.

    The loss is -(reconstruction - kl_weight * KL); what is reported as "bound" is the bound, whatever the weight and
    the free bits.

    Args:
      model: prior, posterior, likelihood.
      num_samples: samples of q for each example.
      form: which expression of the bound; see `estimators.elbo`.
      kl_weight: beta (Higgins et al., 2017), or a schedule of the step (a warm-up).
      free_bits: nats of each latent dimension that the loss does not charge: it has max(free_bits, KL_j), with KL_j the
        mean over the batch, in place of KL_j (Kingma et al., 2016, Eq. 15, whose lambda this is). A dimension below
        them feels no pull towards the prior. Above 0 it wants form "kl" and a q and p that factorise.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" (nats) and "kl_weight". `sample` draws from p(x).

    Raises:
      ValueError: free bits with another form than "kl".
    """
    charges_all = isinstance(free_bits, int | float) and free_bits == 0
    if not charges_all and form != "kl":
        raise ValueError(f'free_bits are of the closed KL of each dimension: form must be "kl", got {form!r}')

    def loss(variables, key, batch, step):
        variables = variables["vae"]
        posterior, prior = model.posterior(variables, batch.x, batch.label), model.prior(variables, batch.label)
        likelihood = partial(model.likelihood, variables, label=batch.label)
        terms = elbo_terms(key, batch.x, posterior, prior, likelihood, num_samples=num_samples, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        weight = jnp.asarray(kl_weight(step) if callable(kl_weight) else kl_weight)
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl, "kl_weight": weight}
        if charges_all:
            return -(reconstruction - weight * kl), Aux(metrics)
        charged = jnp.maximum(jnp.mean(kl_by_dimension(posterior, prior), axis=0), free_bits)
        return -(reconstruction - weight * jnp.sum(charged)), Aux(metrics)

    return Objective(
        init=lambda key, batch: {"vae": model.init(key, batch)},
        losses={"vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["vae"], key, n, label=label),
    )
