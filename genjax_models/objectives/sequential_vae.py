"""Sequential latent-variable models, learned by the ELBO, the IWAE bound or a filtering bound of whole sequences."""

from typing import Literal, get_args

import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.filtering import Criterion, Resampling, elbo_by_step, filtering_bound
from genjax_models.models.sequential import SequentialModel, time_first
from genjax_models.objectives.vae import Schedule
from genjax_models.types import Array, Aux, Objective

Bound = Literal["elbo", "iwae", "fivo"]


def sequential_vae(
    model: SequentialModel,
    *,
    bound: Bound = "elbo",
    num_particles: int = 1,
    criterion: Criterion = "ess",
    threshold: float = 0.5,
    resampling: Resampling = "multinomial",
    score: bool = False,
    kl_weight: float | Array | Schedule = 1.0,
) -> Objective:
    """Returns an objective with one player, "sequential_vae", that raises the bound per sequence, mean over the batch.

    Args:
      model: it unfolds a step at a time. Batches are `[batch, time, ...]`, with lengths or without.
      bound: "elbo" (Chung et al., 2015, Eq. 11), with closed KLs if possible; "iwae", particles that are never
        resampled; "fivo", particles that are (Maddison et al., 2017).
      num_particles: particles per sequence. For the ELBO, independent draws that are averaged.
      criterion: when "fivo" resamples; see `estimators.filtering.filtering_bound`.
      threshold: share of effective particles below which "ess" resamples.
      resampling: how ancestors are drawn.
      score: whether the gradient of "fivo" contains the score of the ancestors.
      kl_weight: weight of the KL in the loss of "elbo", or a schedule of the step (a warm-up). The reported "bound" is
        always the bound.

    Returns:
      An `Objective` that reports "bound" (nats per sequence) and "per_step" (nats per step: the total of the batch over
      its true steps); for "elbo" also "reconstruction", "kl" and "kl_weight", for "fivo" "resampled", the share of
      steps after which a sequence is resampled. `sample` draws sequences of `model.steps` steps.

    Raises:
      ValueError: an argument is unknown or out of range, `kl_weight` is given for another bound than "elbo", "fivo" has
        the criterion "never", or the model has no steps.
    """
    if bound not in get_args(Bound):
        raise ValueError(f"bound must be one of {get_args(Bound)}, got {bound!r}")
    if not isinstance(model, SequentialModel):
        raise ValueError(f'sequential_vae needs a model with steps, got {type(model).__name__}. Use "vae" or "iwae".')
    check_count("num_particles", num_particles)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold!r}. It is a share of the particles.")
    weighted = callable(kl_weight) or not isinstance(kl_weight, int | float) or kl_weight != 1
    if weighted and bound != "elbo":
        raise ValueError(f'kl_weight needs bound="elbo", got {bound!r}: other bounds have no separate KL')
    if bound == "fivo" and criterion == "never":
        raise ValueError('criterion must be "ess" or "always" for bound="fivo". Use bound="iwae" for "never".')

    def loss(variables, key, batch, step):
        x, mask = time_first(batch.x, batch.length)
        of_model = variables["sequential_vae"]
        state, context = model.start(of_model, x, mask)
        inputs = key, x, mask, state, lambda state, context: model.step(of_model, state, context), context
        steps = jnp.sum(mask)
        if bound == "elbo":
            terms = elbo_by_step(*inputs, num_samples=num_particles)
            reconstruction, kl = (jnp.mean(jnp.sum(term, axis=0)) for term in terms)
            value, weight = reconstruction - kl, jnp.asarray(kl_weight(step) if callable(kl_weight) else kl_weight)
            metrics = {"reconstruction": reconstruction, "kl": kl, "kl_weight": weight}
            raised = reconstruction - weight * kl
        else:
            terms = filtering_bound(
                *inputs,
                num_particles=num_particles,
                criterion="never" if bound == "iwae" else criterion,
                threshold=threshold,
                resampling=resampling,
                score=score,
            )
            raised = value = jnp.mean(terms.bound)
            metrics = {"resampled": jnp.sum(terms.resampled) / steps} if bound == "fivo" else {}
        metrics = {"bound": value, "per_step": value * mask.shape[1] / steps, **metrics}
        return -raised, Aux(metrics)

    return Objective(
        init=lambda key, batch: {"sequential_vae": model.init(key, batch)},
        losses={"sequential_vae": loss},
        sample=lambda variables, key, n, *, label=None: model.sample(variables["sequential_vae"], key, n),
        range=model.support,
    )
