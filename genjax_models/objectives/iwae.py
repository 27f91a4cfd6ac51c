"""The importance-weighted autoencoder: Eq. (20.79); Burda, Grosse and Salakhutdinov, 2015."""

import jax.numpy as jnp

from genjax_models.estimators.importance import Gradient, iwae_bound
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.learning import learning_mode
from genjax_models.types import Aux, Objective


def iwae(
    model: LatentVariableModel,
    *,
    num_samples: int,
    gradient: Gradient = "standard",
    zero_weights: bool = False,
    chunk: int | None = None,
) -> Objective:
    """Returns an objective with one player, "iwae", that raises L_k, mean over the batch.

    Networks learn in learning mode. Batch normalisation sees all k samples of all examples as one batch. With a `chunk`
    each chunk of samples drops the same units.

    Args:
      model: prior, posterior, likelihood.
      num_samples: k. The networks see the k samples of a batch as a leading axis.
      gradient: estimator of the encoder's gradient; see `estimators.importance.iwae_bound`.
      zero_weights: whether p(x | z) may be zero; no likelihood of `models` is. If a weight is zero in spite of False,
        the gradient is not finite, and the loop stops and says so.
      chunk: number of samples whose generator activations are in memory at once; None is all of them. A step of Burda
        et al.'s networks with k = 5000 and batches of 20 takes 97 MiB of memory in addition to its state in chunks of
        50, and 1.7 GiB at once; the chunks cost a quarter to a third more work.

    Returns:
      An `Objective` that reports "bound" L_k (nats). `sample` draws from p(x).

    Raises:
      ValueError: `gradient` is not "standard", and q shares parameters with p(x | z), as in DRAW;
        from the loss, while tracing, a `chunk` with batch normalisation, or with dropout in an encoder that
        reads z (the upper ones of a `hierarchical_model`): they need all samples at once.
    """
    if gradient != "standard" and model.shared:
        raise ValueError(f'gradient must be "standard" for a q that shares parameters with p(x | z), got {gradient!r}')

    def loss(variables, key, batch, step):
        learned = learning_mode(model, variables["iwae"], key, batch)
        if chunk is not None and not learned.chunked:
            raise ValueError(
                f"chunk must be None for batch normalisation, and for dropout in an encoder that reads z, got {chunk}"
            )
        options = {"num_samples": num_samples, "gradient": gradient, "zero_weights": zero_weights, "chunk": chunk}
        bounds = iwae_bound(key, batch.x, learned.posterior, learned.prior, learned.likelihood, **options)
        moved = learned.moved(learned.posterior.sample(seed=key, sample_shape=num_samples))
        bound = jnp.mean(bounds)
        return -bound, Aux({"bound": bound}, {"iwae": moved})

    return Objective(
        init=lambda key, batch: {"iwae": model.init(key, batch)},
        losses={"iwae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["iwae"], key, n, label=label),
        range=model.support,
    )
