"""Bounds of sequential models on held-out data: ELBO, IWAE and FIVO, with their terms by step."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_steps
from genjax_models.estimators.filtering import Criterion, FilteringTerms, Resampling, check_evidence, filtering_bound
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.evaluation.examples import map_examples
from genjax_models.models.sequential import SequentialModel, time_first
from genjax_models.objectives.sequential_vae import Bound
from genjax_models.types import Array, PRNGKey, Tracer, Variables


class HeldOutFiltering(NamedTuple):
    """A bound on log p(x) of n sequences and its terms by step, in nats.

    At the padding, the KL is zero, and the other terms repeat their last values.

    Attributes:
      bound: the bound per sequence, `[n]`.
      evidence: the bound on log p(x_1..t), `[n, time]`. Its last value is the bound.
      kl: KL(q_t || p_t), mean over particles, `[n, time]`.
      effective_sample_size: of the weights after a step, before any resampling, from 1 to k, `[n, time]`.
      log_weights: log W_t before any resampling, `[n, time, k]`.
      ancestors: for each particle of step t + 1, the particle of step t that it continues, `[n, time, k]`.
      resampled: whether the step resampled, `[n, time]`.
      mask: true at the steps of a sequence, `[n, time]`.
    """

    bound: Array
    evidence: Array
    kl: Array
    effective_sample_size: Array
    log_weights: Array
    ancestors: Array
    resampled: Array
    mask: Array

    @property
    def per_step(self) -> tuple[Array, Array]:
        """Returns the bound in nats per step, and its standard error over sequences."""
        return ratio_of_totals(self.bound, jnp.sum(self.mask, axis=1))

    @property
    def mean_effective_sample_size(self) -> Array:
        """Returns the mean over all true steps of all sequences."""
        return jnp.sum(jnp.where(self.mask, self.effective_sample_size, 0)) / jnp.sum(self.mask)


def held_out_filtering(
    model: SequentialModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    *,
    length: Array | None = None,
    num_particles: int,
    bounds: Sequence[Bound] = get_args(Bound),
    criterion: Criterion = "ess",
    resampling: Resampling = "multinomial",
    batch_size: int = 100,
) -> dict[Bound, HeldOutFiltering]:
    """Returns bounds on log p(x) of each sequence with N particles, by name.

    "iwae" never resamples, and "fivo" (Maddison et al., 2017) does by `criterion`. "elbo" is the mean over particles in
    place of the mean of weights, from the same draws as "iwae": it is never above "iwae".

    Args:
      model: a sequential model.
      variables: variables of the model (of one player, not of all players).
      key: example i draws from `fold_in(key, i)`.
      x: sequences, `[n, time, ...]`.
      length: number of steps of each sequence, `[n]`. Default: `time`.
      num_particles: N, at least 1.
      bounds: names of the bounds.
      criterion: when "fivo" resamples; see `estimators.filtering`.
      resampling: how "fivo" draws ancestors.
      batch_size: sequences in memory at once; no figure depends on it.

    Raises:
      ValueError: the model has no steps, a bound is unknown, or an argument of `filtering_bound` is out of range;
        unless jax traces the call, a true step of x is not prepared, or not binary under a Bernoulli likelihood, or all
        weights of a step are zero, with the step and the example.
    """
    if not isinstance(model, SequentialModel):
        raise ValueError(
            f"filtering needs a model with steps, a SequentialModel, got {type(model).__name__}. Use held_out_bound or"
            " negative_log_likelihood"
        )
    if unknown := set(bounds) - set(get_args(Bound)):
        raise ValueError(f"bounds must be of {get_args(Bound)}, got {sorted(unknown)}")
    if length is None:
        length = jnp.full(len(x), jnp.shape(x)[1])
    time_first(x, length)  # checks both, on the host
    check_steps("x", x, length, model.support, binary=model.binary)

    def one(key: PRNGKey, example: tuple[Array, Array]) -> dict[Bound, HeldOutFiltering]:
        x, mask = time_first(*(leaf[None] for leaf in example))
        start, context = model.start(variables, x, mask)
        run = partial(filtering_bound, key, x, mask, start, partial(model.step, variables), context)
        terms = {}
        if {"elbo", "iwae"} & set(bounds):
            terms["iwae"] = run(num_particles=num_particles, criterion="never")
            mean = jnp.mean(terms["iwae"].log_weights, axis=1)
            terms["elbo"] = terms["iwae"]._replace(bound=mean[-1], evidence=mean)
        if "fivo" in bounds:
            terms["fivo"] = run(num_particles=num_particles, criterion=criterion, resampling=resampling)
        return {name: _of_one_sequence(terms[name], mask) for name in bounds}

    filtered = map_examples(one, key, (x, length), batch_size=batch_size)
    if not any(isinstance(terms.evidence, Tracer) for terms in filtered.values()):
        check_weights(filtered)
    return filtered


def check_weights(filtered: dict[Bound, HeldOutFiltering]) -> None:
    """Checks what `held_out_filtering` returned from a call that jax traced. It reads values, so it cannot be traced.

    Raises:
      ValueError: all weights of a step are zero, or one is NaN. The error names the step and the example.
    """
    for name, terms in filtered.items():
        if name != "elbo":  # which is -inf if one weight is zero
            check_evidence(terms.evidence.T)


def ratio_of_totals(bound: Array, length: Array) -> tuple[Array, Array]:
    """Returns sum_i bound_i / sum_i length_i, and its standard error over sequences, of values `[n]`.

    It is no mean of ratios: a long sequence counts more. The standard error of a ratio of two means is
    sqrt(n / (n - 1) sum_i (bound_i - ratio length_i)^2) / sum_i length_i, by linearisation; NaN for one sequence.
    """
    n, total = len(bound), jnp.sum(length)
    ratio = jnp.sum(bound) / total
    square = jnp.sum((bound - ratio * length) ** 2)
    return ratio, jnp.sqrt(square * n / (n - 1)) / total if n > 1 else jnp.nan


def _of_one_sequence(terms: FilteringTerms, mask: Array) -> HeldOutFiltering:
    """Returns the terms of a batch of one sequence, without the axis of the batch."""
    return HeldOutFiltering(
        bound=terms.bound[0],
        evidence=terms.evidence[:, 0],
        kl=terms.kl[:, 0],
        effective_sample_size=jax.vmap(effective_sample_size)(terms.log_weights)[:, 0],
        log_weights=terms.log_weights[..., 0],
        ancestors=terms.ancestors[..., 0],
        resampled=terms.resampled[:, 0],
        mask=mask[:, 0],
    )
