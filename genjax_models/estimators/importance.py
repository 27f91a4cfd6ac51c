"""Importance sampling of log p(x): the IWAE bound and estimates of log p(x).

A draw z_i of a proposal q has the weight w_i = p(x, z_i) / q(z_i), and p(x) = E[w]. With k draws per example, the bound

    L_k = E[log 1/k sum_i w_i]                      Eq. (20.79); Burda, Grosse and Salakhutdinov, 2015

is the ELBO at k = 1, grows with k, and tends to log p(x). The proposal q(z | x) gives the training objective of an
encoder. The prior gives Eq. (1.11) of the draft, and any q gives Eq. (1.16). With the exact posterior p(z | x),
Eq. (1.17), every weight is p(x) and the variance is zero.

Log-weights are `[k, batch]`: the sample axis leads. `importance_diagnostics` tells how far an estimate can be trusted.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import chex
import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import ONE_ROW_EACH, check_count, check_num_samples
from genjax_models.estimators.distributions import draws_with_log_prob
from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.types import Array, PRNGKey

Gradient = Literal["standard", "sticking_the_landing", "doubly_reparameterized"]
Latent = Any  # z, a pytree of arrays


def iwae_bound(
    key: PRNGKey,
    x: Array,
    posterior: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
    *,
    num_samples: int,
    gradient: Gradient = "standard",
    zero_weights: bool = True,
    chunk: int | None = None,
) -> Array:
    """Returns an unbiased estimate of L_k per example, in nats.

    The value is the same for every `gradient`. With one sample it is the `elbo` of form "monte_carlo". In the
    parameters of the prior and of the likelihood, the gradient is unbiased for every k and every choice, and its
    signal-to-noise ratio (SNR) grows as sqrt(k). In the parameters of q:

    ======================== ======================= ======= =============================================
    gradient                 unbiased                SNR     source
    ======================== ======================= ======= =============================================
    standard                 for every k             k^-1/2  Burda et al., 2015; Rainforth et al., 2018
    sticking_the_landing     only for k = 1          k^+1/2  Roeder et al., 2017; Finke and Thiery, 2019
    doubly_reparameterized   for every k             k^+1/2  Tucker et al., 2019
    ======================== ======================= ======= =============================================

    The mean of the sticking-the-landing gradient tends to the gradient of -KL(p(z | x) || q), which does not fall with
    k as the gradient of L_k does; its SNR is the ratio of that mean to its standard deviation. The last two have no
    variance if q is p(z | x). They assume that q and the model share no parameters. If they share some (a prior or a
    generator that is part of q), only "standard" is unbiased. Only "standard" can be differentiated twice.

    A weight may be zero. Its sample then has no gradient. If all weights of an example are zero, the value is -inf;
    its gradient is zero if log-probabilities of -inf have finite gradients. `check_weights` names such examples.
    Gradients are therefore taken in a second evaluation of the weights. Compiled code without gradients omits it. With
    `zero_weights=False`, compiled code merges both evaluations.

    With a `chunk`, p(x | z) is evaluated for that many samples at a time, and again if a gradient needs it (Chen, Xu,
    Zhang and Guestrin, 2016). The networks then hold the activations of `chunk` samples; z and the log-weights of all k
    stay in memory. Samples, value and gradient are the same up to rounding, for a third more work.

    Args:
      key: randomness of the samples.
      x: data, `[batch, ...]`.
      posterior: q(z | x), reparameterized, with batch shape `[batch]`, or `[]` for one q of all examples; z may be any
        pytree.
      prior: p(z).
      likelihood: z with leaves `[num_samples, batch, ...]` -> p(x | z).
      num_samples: k, at least 1.
      gradient: estimator of the gradient that `jax.grad` sees.
      zero_weights: whether a weight may be zero. If p(x | z) is positive everywhere, False saves a quarter of the work.
      chunk: samples per example in memory at once; None is all of them.

    Returns:
      The bound, `[batch]`.

    Raises:
      AssertionError: while tracing, log-probabilities are not `[num_samples, batch]`.
      ValueError: `num_samples` or `chunk` is no integer of at least 1, `gradient` is unknown or needs a continuous z,
        or q does not fit x or the prior.
    """
    check_num_samples(num_samples)
    if chunk is not None:
        check_count("chunk", chunk)
    if gradient not in get_args(Gradient):
        raise ValueError(f"gradient must be one of {get_args(Gradient)}, got {gradient!r}")
    z, log_q = _draw(key, posterior, num_samples, len(x))
    if gradient != "standard" and _is_discrete(z) != {False}:
        raise ValueError(f'gradient="{gradient}" needs a continuous z, got a discrete z: use "standard"')
    model = x, posterior, prior, likelihood

    def in_chunks(function: Callable[[Any], Array]) -> Callable[[Any], Array]:
        return function if chunk is None else partial(map_blocks, function, block_size=chunk)

    log_w = in_chunks(lambda draws: log_weights(draws[0], *model, draws[1]))((z, log_q))
    if gradient == "standard" and not zero_weights:
        return log_mean_exp(log_w)

    # The same weights again, to be differentiated. A sample of zero weight is replaced by the best of its example:
    # the gradient of its log p(x | z) would be 0 * inf = NaN, which no later mask removes.
    zero = log_w == -jnp.inf if zero_weights else jnp.zeros(log_w.shape, bool)
    path = _replace(z, zero, jnp.argmax(log_w, axis=0)) if zero_weights else z
    if gradient == "standard":
        weigh = in_chunks(lambda z: log_weights(z, *model))
        differentiable = log_mean_exp(jnp.where(zero, -jnp.inf, weigh(path)))
    else:
        weights = jax.lax.stop_gradient(jnp.where(zero, 0, importance_weights(log_w)))
        if gradient == "doubly_reparameterized":
            path = _scale_gradient(path, weights)  # the sum below weights again: w^2 for q, w for the model
        weigh = in_chunks(lambda z: _log_weights_without_score(z, *model))
        differentiable = jnp.sum(weights * weigh(path), axis=0)
    return _value_of(log_mean_exp(log_w), differentiable)


def log_likelihood(
    key: PRNGKey,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
    *,
    num_samples: int,
) -> Array:
    """Returns log 1/k sum_i p(x | z_i) p(z_i) / q(z_i), z_i ~ q: an estimate of log p(x) per example, Eq. (1.16).

    Its exponential is unbiased for p(x) for every q that covers the posterior. The estimate itself is low by
    R / (2k) + O(1/k^2), R = Var(w) / p(x)^2, with a standard deviation of about sqrt(R / k). At q = p(z | x),
    Eq. (1.17), R is zero. The expectation is L_k: this is `iwae_bound` as an estimate. The draws of q cannot show that
    q misses a part of the posterior.

    `log_mean_exp` combines estimates from equal shares of the samples.

    Args:
      key: randomness of the samples.
      x: data, `[batch, ...]`.
      proposal: q, with batch shape `[batch]`, or `[]` for one q of all examples; draws are independent in both cases.
        z may be discrete.
      prior: p(z).
      likelihood: z with leaves `[num_samples, batch, ...]` -> p(x | z).
      num_samples: k, at least 1.

    Returns:
      The estimate, `[batch]` in nats. Its gradient is the gradient of `iwae_bound`.

    Raises:
      AssertionError, ValueError: as in `iwae_bound`.
    """
    return iwae_bound(key, x, proposal, prior, likelihood, num_samples=num_samples)


def log_likelihood_from_prior(
    key: PRNGKey,
    x: Array,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
    *,
    num_samples: int,
) -> Array:
    """Returns log 1/k sum_i p(x | z_i), z_i ~ p(z): `log_likelihood` with the prior as the proposal, Eq. (1.11).

    The relative variance R grows exponentially with the information that x has about z: k = 10^4 is too few for more
    than a handful of latent dimensions. (Eq. (1.12) of the draft has 1/k outside the log: it estimates
    E_p(z)[log p(x | z)].)
    """
    return log_likelihood(key, x, prior, prior, likelihood, num_samples=num_samples)


def log_weights(
    z: Latent,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
    log_proposal: Array | None = None,
) -> Array:
    """Returns log w = log p(x | z) + log p(z) - log q(z) of given draws, `[k, batch]` in nats.

    Args:
      z: a pytree with leaves `[k, batch, ...]`.
      x: data, `[batch, ...]`.
      proposal: q(z | x) or any other q.
      prior: p(z).
      likelihood: z -> p(x | z).
      log_proposal: log q(z), `[k, batch]`, if it is known.

    Raises:
      AssertionError: while tracing, log-probabilities are not `[k, batch]`.
      ValueError: q and the prior have different event shapes, or one is discrete and the other is continuous.
    """
    if proposal.event_shape != prior.event_shape:
        raise ValueError(
            f"the proposal and the prior need the same z, got shapes {proposal.event_shape} and {prior.event_shape}"
        )
    if _is_discrete(proposal.dtype) != _is_discrete(prior.dtype):
        raise ValueError(f"the proposal and the prior need the same z, got {_types(proposal)} and {_types(prior)}")
    log_likelihoods, log_prior = likelihood(z).log_prob(x), prior.log_prob(z)
    log_proposal = proposal.log_prob(z) if log_proposal is None else log_proposal
    expected = len(jax.tree.leaves(z)[0]), len(x)
    chex.assert_shape([log_likelihoods, log_prior, log_proposal], expected, custom_message=ONE_ROW_EACH)
    return log_likelihoods + (log_prior - log_proposal)


def _log_weights_without_score(
    z: Latent,
    x: Array,
    posterior: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
) -> Array:
    """Returns `log_weights`, whose gradient omits the score of q: the score has mean zero."""
    score = posterior.log_prob(jax.lax.stop_gradient(z))
    return log_weights(z, x, posterior, prior, likelihood) + (score - jax.lax.stop_gradient(score))


def log_mean_exp(log_values: Array, axis: int = 0) -> Array:
    """Returns log 1/k sum_i exp(log_values_i) over an axis of length k.

    If all values are -inf, the result is -inf with gradient zero (`jax.nn.logsumexp` has gradient NaN).
    """
    empty = jnp.all(log_values == -jnp.inf, axis=axis, keepdims=True)
    total = jax.nn.logsumexp(jnp.where(empty, 0, log_values), axis=axis)
    return jnp.where(jnp.squeeze(empty, axis), -jnp.inf, total - math.log(log_values.shape[axis]))


def importance_weights(log_weights: Array) -> Array:
    """Returns the normalised weights w_i / sum_j w_j, `[k, batch]`; NaN if all weights of an example are zero.

    The weighted sum of f(z_i) estimates E[f(z) | x].
    """
    return jax.nn.softmax(log_weights, axis=0)


def _draw(key: PRNGKey, proposal: distrax.Distribution, num_samples: int, batch: int) -> tuple[Latent, Array | None]:
    """Returns z, leaves `[num_samples, batch, ...]`, and log q(z | x) if the proposal computes it with the sample."""
    match proposal.batch_shape:
        case (n,) if n == batch:
            shape = (num_samples,)
        case ():
            shape = (num_samples, batch)
        case other:
            raise ValueError(
                f"the batch shape of the proposal must be ({batch},) or () for {batch} examples, got {other};"
                " one example needs its axis: x[None]"
            )
    if draws_with_log_prob(proposal):
        return proposal.sample_and_log_prob(seed=key, sample_shape=shape)
    return proposal.sample(seed=key, sample_shape=shape), None


def _is_discrete(tree: Any) -> set[bool]:
    """Returns whether leaves (arrays or types) are discrete; both truth values if only some leaves are."""
    return {not jnp.issubdtype(getattr(leaf, "dtype", leaf), jnp.floating) for leaf in jax.tree.leaves(tree)}


def _types(distribution: distrax.Distribution) -> str:
    return ", ".join(jnp.dtype(leaf).name for leaf in jax.tree.leaves(distribution.dtype))


def _with_trailing_axes(factor: Array, leaf: Array) -> Array:
    """Reshapes `factor` `[k, batch]` to broadcast against `leaf` `[k, batch, ...]`."""
    return factor.reshape(factor.shape + (1,) * (leaf.ndim - 2))


def _replace(z: Latent, where: Array, index: Array) -> Latent:
    """Returns z; if `where` `[k, batch]` is true, sample `index` `[batch]` of the example replaces the sample."""

    def replace(leaf):
        best = jnp.take_along_axis(leaf, _with_trailing_axes(index[None], leaf), axis=0)
        return jnp.where(_with_trailing_axes(where, leaf), best, leaf)

    return jax.tree.map(replace, z)


def _scale_gradient(z: Latent, factor: Array) -> Latent:
    """Returns z, whose gradient is multiplied by `factor` `[k, batch]`."""
    return jax.tree.map(lambda leaf: _value_of(leaf, _with_trailing_axes(factor, leaf) * leaf), z)


@jax.custom_jvp
def _value_of(value: Array, differentiable: Array) -> Array:
    """Returns `value`, with the gradient of `differentiable`."""
    return value


@_value_of.defjvp
def _(primals, tangents):
    return primals[0], tangents[1]
