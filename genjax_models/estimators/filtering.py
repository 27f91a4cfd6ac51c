"""Particle filters: bounds on log p(x) of models that unfold a step at a time, with k particles per sequence.

Particle i of step t has the weight

    w_t^i = p(z_t^i | z_<t^i, x_<t) p(x_t | z_<=t^i, x_<t) / q(z_t^i | z_<t^i, x),        W_t^i = W_{t-1}^i w_t^i.

To resample after step t is to draw ancestors a ~ Cat(W_t / sum_i W_t^i), to add log 1/k sum_i W_t^i to log p^, and to
set W_t to 1. After the last step, log p^ gains log 1/k sum_i W_T^i. For every k, q and criterion, E[p^] = p(x), so that
E[log p^] <= log p(x): the filtering bound FIVO (Maddison et al., 2017; Le et al., 2018; Naesseth et al., 2018). Without
resampling it is the IWAE bound L_k of the whole sequence; with one particle it is the ELBO. FIVO is not always the
tighter bound: at q = p(z_t | z_<t, x) the ELBO is exact, and resampling adds noise.

Time leads: `x` is `[time, batch, ...]`, and particles are `[k, batch, ...]`. `mask` `[time, batch]` is true from the
first to the last step of a sequence, and false at its padding.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import chex
import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count, check_num_samples
from genjax_models.estimators.distributions import draws_with_log_prob
from genjax_models.estimators.elbo import ElboTerms
from genjax_models.estimators.importance import Latent, log_mean_exp
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.types import Array, PRNGKey

Criterion = Literal["ess", "always", "never"]
Resampling = Literal["multinomial", "stratified", "systematic"]
State = Any  # a pytree of arrays

_TIME_LEADS = "x and context must be [time, batch, ...], mask [time, batch], and start [batch, ...]"
_ONE_WEIGHT_EACH = "the distributions of a step must have batch shape [num_particles, batch]"


class Step(NamedTuple):
    """One step of a model that unfolds; distributions have batch shape `[k, batch]`."""

    posterior: distrax.Distribution  # q(z_t | z_<t, x), reparameterized
    prior: distrax.Distribution  # p(z_t | z_<t, x_<t)
    likelihood: Callable[[Latent], distrax.Distribution]  # z_t -> p(x_t | z_<=t, x_<t)
    advance: Callable[[Latent], State]  # z_t -> the state after the step


class FilteringTerms(NamedTuple):
    """A filtering bound and its terms by step, in nats.

    At the padding, log-weights and evidence repeat their last values, and nothing is resampled.
    """

    bound: Array  # log p^(x), [batch]
    log_weights: Array  # log W_t before resampling, [time, k, batch]
    kl: Array  # KL(q_t || p_t), mean over particles, [time, batch]; zero at the padding
    evidence: Array  # log p^(x_1..t), [time, batch]
    ancestors: Array  # [time, k, batch]; 0, 1, ..., k - 1 if not resampled
    resampled: Array  # whether the step resampled, [time, batch]
    state: State  # of each particle after the last step of its sequence, leaves [k, batch, ...]


def filtering_bound(
    key: PRNGKey,
    x: Array,
    mask: Array,
    start: State,
    step: Callable[[State, Any], Step],
    context: Any = None,
    *,
    num_particles: int,
    criterion: Criterion = "ess",
    threshold: float = 0.5,
    resampling: Resampling = "multinomial",
    score: bool = False,
) -> FilteringTerms:
    """Returns log p^(x) per sequence, and its terms by step.

    Without the score of the ancestors, the gradient is biased where a step resamples, with less variance (Maddison et
    al., 2017). The score adds sum_t log(p^(x) / p^(x_1..t)) grad log P(a_t). The gradient is then unbiased for
    "always"; for "ess" it omits only that a parameter can move a weight across the threshold.

    The padding is replaced by zeros here. A model that computes `context` from x must call `without_padding` before its
    networks: they see NaN otherwise, and NaN times a gradient of zero is NaN.

    Args:
      key: randomness; step t draws from `fold_in(key, t)`, so that longer padding changes no draw.
      x: data, `[time, batch, ...]`.
      mask: true at the steps of a sequence, false at its padding, `[time, batch]`. Each sequence has a step or more.
      start: state before the first step, a pytree with leaves `[batch, ...]`.
      step: (state with leaves `[k, batch, ...]`, the context of the step) -> `Step`.
      context: further input of a step, a pytree with leaves `[time, batch, ...]`; None if nothing.
      num_particles: k, at least 1.
      criterion: when to resample: at an effective sample size below `threshold` k, after every step, or never. Nothing
        is resampled after the last step of a sequence.
      threshold: share of k, in (0, 1]; read by "ess" alone.
      resampling: how ancestors are drawn: independently, one per stratum of 1/k, or all from one number.
      score: whether the gradient contains the score of the ancestors. The value is the same.

    Returns:
      `FilteringTerms`. The KL is closed if q_t and p_t have a closed KL, else log q - log p of the particles.

    Raises:
      AssertionError: while tracing, shapes do not fit.
      ValueError: `num_particles` is no integer of at least 1, `criterion` or `resampling` is unknown, or `threshold` is
        outside (0, 1].
    """
    check_count("num_particles", num_particles)
    for name, value, known in [
        ("criterion", criterion, get_args(Criterion)),
        ("resampling", resampling, get_args(Resampling)),
    ]:
        if value not in known:
            raise ValueError(f"{name} must be one of {known}, got {value!r}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1], got {threshold!r}. It is a share of the particles.")
    x, context, state = _prepared(x, mask, start, context, num_particles)
    batch = mask.shape[1]
    own = jnp.broadcast_to(jnp.arange(num_particles)[:, None], (num_particles, batch))
    goes_on = jnp.concatenate([mask[1:], jnp.zeros_like(mask[:1])])

    def body(carry, inputs):
        state, log_w, total = carry
        t, x_t, context_t, on, goes_on = inputs
        draw_key, resampling_key = jax.random.split(jax.random.fold_in(key, t))
        now = step(state, context_t)
        z, log_q = _draw(draw_key, now.posterior)
        log_p = now.likelihood(z).log_prob(x_t)
        log_prior = now.prior.log_prob(z)
        chex.assert_shape([log_p, log_prior, log_q], (num_particles, batch), custom_message=_ONE_WEIGHT_EACH)
        log_w = log_w + jnp.where(on[None], log_p + (log_prior - log_q), 0)
        state = _choose(on, now.advance(z), state)
        evidence = total + log_mean_exp(log_w)
        divergence = _closed_kl(now)
        divergence = log_q - log_prior if divergence is None else divergence
        kl = jnp.where(on, jnp.mean(divergence, axis=0), 0)
        before, ancestors, resampled, log_share = log_w, own, jnp.zeros(batch, bool), jnp.zeros(batch)
        if criterion != "never":
            resampled = goes_on & (evidence > -jnp.inf)
            if criterion == "ess":
                resampled &= effective_sample_size(log_w) < threshold * num_particles
            safe = jnp.where(resampled[None], log_w, 0)  # all weights zero: no share of them is a number
            drawn, log_share = _resample(resampling_key, safe, resampling)
            ancestors, log_share = jnp.where(resampled[None], drawn, own), jnp.where(resampled, log_share, 0)
            state = jax.tree.map(lambda leaf: _take(leaf, ancestors), state)
            total, log_w = jnp.where(resampled, evidence, total), jnp.where(resampled[None], 0, log_w)
        return (state, log_w, total), (before, kl, evidence, ancestors, resampled, log_share)

    carry = state, jnp.zeros((num_particles, batch)), jnp.zeros(batch)
    inputs = jnp.arange(len(mask)), x, context, mask, goes_on
    (state, _, _), (log_w, kl, evidence, ancestors, resampled, log_share) = jax.lax.scan(body, carry, inputs)
    bound = evidence[-1]
    if score:
        to_come = jax.lax.stop_gradient(bound[None] - evidence)
        scores = jnp.sum(jnp.where(resampled & jnp.isfinite(to_come), to_come, 0) * log_share, axis=0)
        bound = bound + (scores - jax.lax.stop_gradient(scores))
    return FilteringTerms(bound, log_w, kl, evidence, ancestors, resampled, state)


def elbo_by_step(
    key: PRNGKey,
    x: Array,
    mask: Array,
    start: State,
    step: Callable[[State, Any], Step],
    context: Any = None,
    *,
    num_samples: int = 1,
) -> ElboTerms:
    """Returns the terms of the ELBO by step, each `[time, batch]` in nats; both are zero at the padding.

        log p(x) >= sum_t E_q[log p(x_t | z_<=t, x_<t) - KL(q(z_t | z_<t, x) || p(z_t | z_<t, x_<t))]

    Chung et al., 2015, Eq. (11). The KL is closed if it has a closed form, given the draws of the earlier steps.
    It has the arguments and draws of `filtering_bound`; `num_samples` draws share no weights.

    Raises:
      AssertionError: while tracing, shapes do not fit.
      ValueError: `num_samples` is no integer of at least 1.
    """
    check_num_samples(num_samples)
    x, context, state = _prepared(x, mask, start, context, num_samples)

    def body(state, inputs):
        t, x_t, context_t, on = inputs
        now = step(state, context_t)
        z, log_q = _draw(jax.random.split(jax.random.fold_in(key, t))[0], now.posterior)
        log_p = now.likelihood(z).log_prob(x_t)
        kl = _closed_kl(now)
        kl = log_q - now.prior.log_prob(z) if kl is None else kl
        chex.assert_shape([log_p, kl], (num_samples, mask.shape[1]), custom_message=_ONE_WEIGHT_EACH)
        terms = ElboTerms(*(jnp.where(on, jnp.mean(term, axis=0), 0) for term in (log_p, kl)))
        return _choose(on, now.advance(z), state), terms

    return jax.lax.scan(body, state, (jnp.arange(len(mask)), x, context, mask))[1]


def without_padding(tree: Any, mask: Array) -> Any:
    """Returns a pytree with leaves `[time, batch, ...]`, with zeros where `mask` `[time, batch]` is false."""
    return jax.tree.map(lambda leaf: jnp.where(_like(mask, leaf), leaf, jnp.zeros_like(leaf)), tree)


def check_evidence(evidence: Array) -> None:
    """Checks log p^(x_1..t) `[time, batch]`. It reads values, so it cannot be traced.

    Raises:
      ValueError: all weights of a step are zero, or one is NaN. The error names the first step and example.
    """
    fine = np.isfinite(np.asarray(evidence))
    if not fine.all():
        step, example = np.argwhere(~fine)[0]
        raise ValueError(f"all weights are zero, or one is NaN, at step {step} of example {example}")


def _prepared(x: Array, mask: Array, start: State, context: Any, k: int) -> tuple[Array, Any, State]:
    """Returns x and the context without padding, and the state of k particles."""
    chex.assert_rank(mask, 2, custom_message=_TIME_LEADS)
    chex.assert_tree_shape_prefix((x, context), mask.shape, custom_message=_TIME_LEADS)
    chex.assert_tree_shape_prefix(start, mask.shape[1:], custom_message=_TIME_LEADS)
    x, context = without_padding((x, context), mask)
    return x, context, jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (k, *jnp.shape(leaf))), start)


def _draw(key: PRNGKey, posterior: distrax.Distribution) -> tuple[Latent, Array]:
    """Returns z, one per particle, and log q(z)."""
    if draws_with_log_prob(posterior):
        return posterior.sample_and_log_prob(seed=key)
    z = posterior.sample(seed=key)
    return z, posterior.log_prob(z)


def _closed_kl(step: Step) -> Array | None:
    """Returns KL(q_t || p_t), `[k, batch]`; None if there is no closed form."""
    try:
        with jax.numpy_rank_promotion("allow"):  # distrax promotes ranks
            return step.posterior.kl_divergence(step.prior)
    except NotImplementedError:
        return None


def _resample(key: PRNGKey, log_w: Array, resampling: Resampling) -> tuple[Array, Array]:
    """Returns ancestors `[k, batch]`, ordered if not multinomial, and the log-probability of all k, `[batch]`.

    An ancestor is where a point of [0, 1) falls among the cumulative weights.
    """
    k, batch = log_w.shape
    weights = jax.nn.softmax(log_w, axis=0)
    upper = jnp.cumsum(weights, axis=0)
    upper = upper / upper[-1:]
    strata = jnp.arange(k)[:, None]
    match resampling:
        case "multinomial":
            points = jax.random.uniform(key, (k, batch))
        case "stratified":
            points = (strata + jax.random.uniform(key, (k, batch))) / k
        case "systematic":
            points = (strata + jax.random.uniform(key, (1, batch))) / k
    points = jnp.minimum(points, 1 - jnp.finfo(points.dtype).epsneg)  # rounding to 1 would choose a zero weight
    search = jax.vmap(lambda edges, points: jnp.searchsorted(edges, points, side="right"), in_axes=1, out_axes=1)
    ancestors = search(jax.lax.stop_gradient(upper), points)
    if resampling == "multinomial":
        return ancestors, jnp.sum(_take(jax.nn.log_softmax(log_w, axis=0), ancestors), axis=0)
    # The offsets within a stratum, in [0, 1), that choose these ancestors.
    high = jnp.minimum(k * _take(upper, ancestors) - strata, 1)
    low = jnp.maximum(k * _take(upper - weights, ancestors) - strata, 0)
    if resampling == "systematic":
        high, low = jnp.min(high, axis=0, keepdims=True), jnp.max(low, axis=0, keepdims=True)
    return ancestors, jnp.sum(jnp.log(jnp.maximum(high - low, jnp.finfo(high.dtype).tiny)), axis=0)


def _choose(on: Array, new: State, old: State) -> State:
    """Returns the new state of the sequences that are `on` `[batch]`, and the old state of the others."""
    return jax.tree.map(lambda n, o: jnp.where(_like(on[None], n), n, o), new, old)


def _take(leaf: Array, ancestors: Array) -> Array:
    """Returns `leaf` `[k, batch, ...]` of the ancestors `[k, batch]`."""
    return jnp.take_along_axis(leaf, _like(ancestors, leaf), axis=0)


def _like(array: Array, leaf: Array) -> Array:
    """Returns `array` with trailing axes of one, so that it has the rank of `leaf`."""
    return array.reshape(array.shape + (1,) * (jnp.ndim(leaf) - array.ndim))
