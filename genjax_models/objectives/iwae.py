"""The importance-weighted autoencoder: Eq. (20.79); Burda, Grosse and Salakhutdinov, 2015."""

from functools import partial

import jax.numpy as jnp

from genjax_models.estimators.importance import Gradient, iwae_bound
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.types import Aux, Objective


def iwae(
    model: LatentVariableModel,
    *,
    num_samples: int,
    gradient: Gradient = "standard",
    zero_weights: bool = False,
    chunk: int | None = None,
) -> Objective:
    """One player, "iwae", that raises L_k, mean over the batch.

    Args:
      model: prior, posterior, likelihood.
      num_samples: k. The networks see the k samples of a batch as one axis more.
      gradient: which estimator of the encoder's gradient; see `estimators.importance.iwae_bound`.
      zero_weights: whether p(x | z) may be zero, as for no likelihood of `models`. Where one is unawares, the gradient
        is not finite, and the loop stops and says so.
      chunk: samples for which the generator's activations are held in memory; None is all of them. A step of Burda et
        al.'s networks with k = 5000 and batches of 20 takes 97 MiB beside its state in chunks of 50, and 1.7 GiB at
        once; a quarter to a third more work is what it costs.

    Returns:
      An `Objective` that reports "bound" L_k (nats). `sample` draws from p(x).
    """

    def loss(variables, key, batch, step):
        variables = variables["iwae"]
        posterior, prior = model.posterior(variables, batch.x, batch.label), model.prior(variables, batch.label)
        likelihood = partial(model.likelihood, variables, label=batch.label)
        options = {"num_samples": num_samples, "gradient": gradient, "zero_weights": zero_weights, "chunk": chunk}
        bound = jnp.mean(iwae_bound(key, batch.x, posterior, prior, likelihood, **options))
        return -bound, Aux({"bound": bound})

    return Objective(
        init=lambda key, batch: {"iwae": model.init(key, batch)},
        losses={"iwae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["iwae"], key, n, label=label),
    )
