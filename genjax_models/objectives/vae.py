"""The variational autoencoder: encoder and generator learned together by the evidence lower bound (20.10.3)."""

from collections.abc import Callable

import jax.numpy as jnp

from genjax_models.estimators.elbo import Form, elbo_terms, kl_by_dimension
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
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
    """Returns an objective with one player, "vae", that raises the bound L(q), mean over the batch.

    L(q) is Eq. (20.76), (20.77) or (1.28), by `form`. The loss is -(reconstruction - kl_weight * KL). The reported
    "bound" is always the bound, for every weight and with free bits. Networks learn in learning mode; batch
    normalisation sees all samples of all examples as one batch.

    Args:
      model: prior, posterior, likelihood.
      num_samples: samples of q per example.
      form: expression of the bound; see `estimators.elbo`.
      kl_weight: beta (Higgins et al., 2017), or a schedule of the step (a warm-up).
      free_bits: nats per latent dimension that cost nothing: the loss has max(free_bits, KL_j) in place of KL_j, the
        mean over the batch (Kingma et al., 2016, Eq. 15, with free_bits as lambda). A dimension below its free bits is
        not pulled towards the prior. Free bits need form "kl", and a q and a p that factorise.

    Returns:
      An `Objective` that reports "bound", "reconstruction", "kl" (nats) and "kl_weight". `sample` draws from p(x).

    Raises:
      ValueError: free bits with another form than "kl".
    """
    without_free_bits = isinstance(free_bits, int | float) and free_bits == 0
    if not without_free_bits and form != "kl":
        raise ValueError(f'free_bits needs a closed KL per dimension: use form="kl", got {form!r}')

    def loss(variables, key, batch, step):
        learned = learning_mode(model, variables["vae"], key, batch)
        posterior, prior = learned.posterior, learned.prior
        terms = elbo_terms(key, batch.x, posterior, prior, learned.likelihood, num_samples=num_samples, form=form)
        reconstruction, kl = jnp.mean(terms.reconstruction), jnp.mean(terms.kl)
        weight = jnp.asarray(kl_weight(step) if callable(kl_weight) else kl_weight)
        metrics = {"bound": reconstruction - kl, "reconstruction": reconstruction, "kl": kl, "kl_weight": weight}
        moved = learned.moved(posterior.sample(seed=key, sample_shape=num_samples))
        charged = kl
        if not without_free_bits:
            charged = jnp.sum(jnp.maximum(jnp.mean(kl_by_dimension(posterior, prior), axis=0), free_bits))
        return -(reconstruction - weight * charged), Aux(metrics, {"vae": moved})

    return Objective(
        init=lambda key, batch: {"vae": model.init(key, batch)},
        losses={"vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["vae"], key, n, label=label),
        range=model.support,
    )
