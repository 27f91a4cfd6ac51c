"""Importance sampling of log p(x): bounds, estimates, and how far they can be trusted.

The weight of a draw z_i from any proposal q is w_i = p(x, z_i) / q(z_i), and p(x) = E[w]. From k draws for each example

    L_k = E[log 1/k sum_i w_i]                      Eq. (20.79); Burda, Grosse and Salakhutdinov, 2015

is the ELBO at k = 1, grows with k, and tends to log p(x). One estimator serves three equations of the draft: with
q(z | x) it is the bound that an encoder learns by, with the prior it is Eq. (1.11), with any q Eq. (1.16), and
with p(z | x) itself, Eq. (1.17), every weight is p(x) and there is no variance at all.

Log-weights are `[k, batch]`: the sample axis leads.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import chex
import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_num_samples
from genjax_models.estimators.distributions import draws_with_log_prob
from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.estimators.kernels import check_size
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
    """An unbiased estimate of L_k for each example, in nats.

    The value is the same for every `gradient`; with one sample it is the `elbo` of form "monte_carlo". In the
    parameters of the prior and of the likelihood the gradient is unbiased for every k, and its signal-to-noise ratio
    grows as sqrt(k), whichever is chosen. In the parameters of q:

    ======================== ======================= ======= =============================================
    gradient                 unbiased                SNR     source
    ======================== ======================= ======= =============================================
    standard                 for every k             k^-1/2  Burda et al., 2015; Rainforth et al., 2018
    sticking_the_landing     for k = 1 alone         k^-1/2  Roeder et al., 2017
    doubly_reparameterized   for every k             k^+1/2  Tucker et al., 2019
    ======================== ======================= ======= =============================================

    The last two have no variance where q is p(z | x). They take q's parameters to be no parameters of the model: where
    the two share some (a prior or a generator that is part of q) only "standard" is unbiased, and only it can be
    differentiated twice. None is unbiased where a weight jumps to zero within q's support: no path sees the jump.

    A weight of zero (log-weight -inf) adds nothing, and harms neither value nor gradient. An example whose k weights
    are all zero has the value -inf; its gradient is zero where log-probabilities of -inf have finite gradients
    (`check_weights` names such examples). To that end gradients are taken in a second evaluation of the weights, which
    is left out of compiled code that takes none. With `zero_weights=False` both evaluations are one in compiled code.

    With a `chunk` p(x | z) is evaluated for so many samples at a time, and again where a gradient needs it (Chen, Xu,
    Zhang and Guestrin, 2016): what the networks hold is of `chunk` samples, beside z and the log-weights of all k. The
    samples are the same, and so are the value and the gradient, to rounding, for a third more of the work.

    Args:
      key: randomness of the samples.
      x: data, `[batch, ...]`.
      posterior: q(z | x), reparameterized, of batch shape `[batch]`, or `[]` for one q of all examples; z may be any
        pytree.
      prior: p(z).
      likelihood: z with leaves `[num_samples, batch, ...]` -> p(x | z).
      num_samples: k, at least 1.
      gradient: what `jax.grad` sees.
      zero_weights: whether a weight may be zero. False, where p(x | z) is positive everywhere, saves a quarter of the
        work.
      chunk: samples in memory at once for each example; all of them where None.

    Returns:
      The bound, `[batch]`.

    Raises:
      AssertionError: while tracing, log-probabilities that are not `[num_samples, batch]`.
      ValueError: if `num_samples` or `chunk` is no integer of at least 1, `gradient` is none of the above or wants a
        continuous z, or q does not fit x or the prior.
    """
    check_num_samples(num_samples)
    if chunk is not None:
        check_size("chunk", chunk)
    if gradient not in get_args(Gradient):
        raise ValueError(f"gradient must be one of {get_args(Gradient)}, got {gradient!r}")
    z, log_q = _draw(key, posterior, num_samples, len(x))
    if gradient != "standard" and _is_discrete(z) != {False}:
        raise ValueError(f'gradient="{gradient}" is of a continuous z, and here z is discrete: use "standard"')

    def in_chunks(function: Callable[[Latent], Array]) -> Callable[[Latent], Array]:
        return function if chunk is None else partial(map_blocks, function, block_size=chunk)

    def weigh_drawn(drawn: tuple[Latent, Array | None]) -> Array:
        z, log_q = drawn
        return _log_weights(z, x, posterior, prior, likelihood, log_q)

    def weigh(z: Latent) -> Array:
        return log_weights(z, x, posterior, prior, likelihood)

    def weigh_without_score(z: Latent) -> Array:
        score = posterior.log_prob(jax.lax.stop_gradient(z))  # of q's own parameters: its mean is zero
        return weigh(z) + (score - jax.lax.stop_gradient(score))

    log_w = in_chunks(weigh_drawn)((z, log_q))
    if gradient == "standard" and not zero_weights:
        return log_mean_exp(log_w)

    # The same weights again, to be differentiated. Where one is zero, z steps aside for the best of its example:
    # 0 * inf would be NaN within the gradient of log p(x | z), and no mask after it could help.
    zero = log_w == -jnp.inf if zero_weights else jnp.zeros(log_w.shape, bool)
    path = _replace(z, zero, jnp.argmax(log_w, axis=0)) if zero_weights else z
    if gradient == "standard":
        differentiable = log_mean_exp(jnp.where(zero, -jnp.inf, in_chunks(weigh)(path)))
    else:
        weights = jax.lax.stop_gradient(jnp.where(zero, 0, importance_weights(log_w)))
        if gradient == "doubly_reparameterized":
            path = _scale_gradient(path, weights)  # weighted here and below: w^2 for q, w for the model
        differentiable = jnp.sum(weights * in_chunks(weigh_without_score)(path), axis=0)
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
    """log 1/k sum_i p(x | z_i) p(z_i) / q(z_i), z_i ~ q: estimates log p(x) for each example, in nats, Eq. (1.16).

    Its exponential is unbiased for p(x) for every q that covers the posterior. It is itself low by R / (2k) + O(1/k^2),
    R = Var(w) / p(x)^2, with a standard deviation of about sqrt(R / k); at q = p(z | x), Eq. (1.17), R is zero. Its
    expectation is L_k: this is `iwae_bound` as an estimate. That q misses a part of the posterior cannot be told from
    its own draws.

    Estimates from equal shares of the samples are joined by `log_mean_exp`.

    Args:
      key: randomness of the samples.
      x: data, `[batch, ...]`.
      proposal: q, of batch shape `[batch]`, or `[]` for one q of all examples, whose draws are independent all the
        same. A discrete z is welcome.
      prior: p(z).
      likelihood: z with leaves `[num_samples, batch, ...]` -> p(x | z).
      num_samples: k, at least 1.

    Returns:
      `[batch]`. Its gradient is that of `iwae_bound`.

    Raises:
      AssertionError, ValueError: as `iwae_bound`.
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
    """log 1/k sum_i p(x | z_i), z_i ~ p(z): `log_likelihood` with the prior as the proposal, Eq. (1.11).

    Its relative variance R grows exponentially with the information that x has about z: k = 10^4 is few beyond a
    handful of latent dimensions. (The draft's Eq. (1.12) has 1/k outside the log, which bounds E_p(z)[log p(x | z)].)
    """
    return log_likelihood(key, x, prior, prior, likelihood, num_samples=num_samples)


def log_weights(
    z: Latent,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
) -> Array:
    """log w = log p(x | z) + log p(z) - log q(z) of given draws, `[k, batch]`, nats.

    Args:
      z: a pytree with leaves `[k, batch, ...]`.
      x: data, `[batch, ...]`.
      proposal: q(z | x) or any other q.
      prior: p(z).
      likelihood: z -> p(x | z).

    Raises:
      AssertionError: while tracing, log-probabilities that are not `[k, batch]`.
      ValueError: q and the prior are over events of different shapes, or one is discrete where the other is not.
    """
    return _log_weights(z, x, proposal, prior, likelihood)


def _log_weights(
    z: Latent,
    x: Array,
    proposal: distrax.Distribution,
    prior: distrax.Distribution,
    likelihood: Callable[[Latent], distrax.Distribution],
    log_proposal: Array | None = None,
) -> Array:
    """Returns `log_weights`; `log_proposal` is log q(z | x) if it is known."""
    if proposal.event_shape != prior.event_shape:
        raise ValueError(f"the proposal is over z of shape {proposal.event_shape}, the prior of {prior.event_shape}")
    if _is_discrete(proposal.dtype) != _is_discrete(prior.dtype):
        raise ValueError(f"the proposal is over z of type {_names(proposal)}, the prior of {_names(prior)}")
    log_likelihoods, log_prior = likelihood(z).log_prob(x), prior.log_prob(z)
    log_proposal = proposal.log_prob(z) if log_proposal is None else log_proposal
    chex.assert_shape([log_likelihoods, log_prior, log_proposal], (len(jax.tree.leaves(z)[0]), len(x)))
    return log_likelihoods + (log_prior - log_proposal)


def log_mean_exp(log_values: Array, axis: int = 0) -> Array:
    """log 1/k sum_i exp(log_values_i) over an axis of length k.

    -inf where all values are, with gradient zero, where `jax.nn.logsumexp` has NaN.
    """
    empty = jnp.all(log_values == -jnp.inf, axis=axis, keepdims=True)
    total = jax.nn.logsumexp(jnp.where(empty, 0, log_values), axis=axis)
    return jnp.where(jnp.squeeze(empty, axis), -jnp.inf, total - math.log(log_values.shape[axis]))


def importance_weights(log_weights: Array) -> Array:
    """w_i / sum_j w_j, `[k, batch]`: sum_i of it times f(z_i) estimates E[f(z) | x]. NaN where all weights are zero."""
    return jax.nn.softmax(log_weights, axis=0)


def effective_sample_size(log_weights: Array) -> Array:
    """(sum_i w_i)^2 / sum_i w_i^2, `[batch]`, from 1 (one weight is all) to k; 0 where all weights are zero.

    Divided by k it tends to 1 / (1 + R), R the relative variance of a weight (Kong, 1992). It is too high
    where the large weights have not been drawn yet: see `pareto_k_hat`.
    """
    k = len(log_weights)
    empty = jnp.all(log_weights == -jnp.inf, axis=0)
    first, second = (log_mean_exp(jnp.where(empty, 0, power * log_weights)) for power in (1, 2))
    return jnp.where(empty, 0, k * jnp.exp(2 * first - second))


def check_weights(log_weights: Array) -> None:
    """Raises ValueError that names the examples whose k weights are all zero, or have a NaN or an infinite one.

    Looks at values, and so cannot be traced: for log-weights `[k, batch]` that are on hand.
    """
    log_weights = np.asarray(log_weights)
    for mask, fault in [
        (np.all(log_weights == -np.inf, axis=0), f"all {len(log_weights)} weights are zero"),
        (np.any(np.isnan(log_weights) | (log_weights == np.inf), axis=0), "log-weights are NaN or inf"),
    ]:
        if mask.any():
            names = [str(index) for index in np.flatnonzero(mask)]
            shown = ", ".join(names[:10] + ["..."] * (len(names) > 10))
            raise ValueError(f"{fault} for {len(names)} of {mask.size} examples: {shown}")


def pareto_k_hat(log_weights: Array) -> Array:
    """The shape of the weights' upper tail, `[batch]`: how many moments they have, and so whether to trust them.

    A generalised Pareto distribution is fitted to the largest min(k/5, 3 sqrt(k)) weights (Vehtari, Simpson, Gelman,
    Yao and Gabry, 2024) by the empirical Bayes estimate of Zhang and Stephens (2009), drawn to 1/2 as if by ten further
    weights. 1/shape moments are finite: above 1/2 the variance is not, above 1 the mean is not. Trust the estimate of
    an example below `pareto_k_threshold`.

    Weights of any size do: all is done in logs.

    Args:
      log_weights: `[k, batch]`, k at least 25.

    Returns:
      `[batch]`; NaN where fewer than five weights are larger than those below the tail: all are equal (as they are at
      the exact posterior, where nothing is to be feared), or nearly all are zero.

    Raises:
      ValueError: if k is below 25, which leaves fewer than five weights to fit.
    """
    k = len(log_weights)
    _check_tail(k)
    size = math.ceil(min(k / 5, 3 * math.sqrt(k)))
    largest = jnp.sort(log_weights, axis=0)[-size - 1 :]
    cutoff, tail = largest[0], largest[1:]
    above = tail > cutoff
    log_excesses = jnp.where(above, tail + jnp.log(-jnp.expm1(jnp.where(above, cutoff - tail, -1))), -jnp.inf)
    return jax.vmap(_generalised_pareto_shape, in_axes=1)(log_excesses)


def pareto_k_threshold(num_samples: int) -> float:
    """min(1 - 1 / log10(k), 0.7): with `pareto_k_hat` below it, k samples are enough (Vehtari et al., 2024).

    Raises:
      ValueError: if `num_samples` is no integer, or below 25.
    """
    check_num_samples(num_samples)
    _check_tail(num_samples)
    return min(1 - 1 / math.log10(num_samples), 0.7)


def _generalised_pareto_shape(log_y: Array) -> Array:
    """Zhang and Stephens (2009) on excesses y, `[size]` ascending in logs, of which those of -inf do not count.

    For b < 1 / max(y) the profile likelihood has the shape k(b) = mean log(1 - b y) and n (log(-b / k) - k - 1) nats;
    b is averaged over a grid, and k is that of the average. With u = y / max(y) and exp(s) = 1 - b max(y), which is
    positive, nothing overflows: 1 - b y = (1 - u) + exp(s) u.
    """
    counts = log_y > -jnp.inf
    n = jnp.sum(counts)
    log_u = jnp.where(counts, log_y - log_y[-1], -1)

    def shape(s):
        near = jnp.log1p(jnp.expm1(jnp.minimum(s, 1)) * jnp.exp(log_u))  # accurate about the exponential's s = 0
        far = jnp.logaddexp(jnp.log1p(-jnp.exp(log_u)), s + log_u)
        return jnp.sum(jnp.where(counts, jnp.where(s < 1, near, far), 0)) / n

    grid = 30 + math.isqrt(len(log_y))
    steps = (jnp.sqrt(grid / (jnp.arange(grid) + 0.5)) - 1) / 3
    quartile = len(log_y) - n + (n + 2) // 4 - 1
    s = jnp.log(steps) - log_u[quartile]
    s = jnp.where(s == 0, 1e-6, s)
    shapes = jax.vmap(shape)(s)
    log_b = jnp.maximum(s, 0) + jnp.log(-jnp.expm1(-jnp.abs(s)))
    nats = n * (log_b - jnp.log(jnp.abs(shapes)) - shapes - 1)
    average = jax.nn.logsumexp(jax.nn.log_softmax(nats) + s)
    return jnp.where(n >= 5, (n * shape(average) + 10 * 0.5) / (n + 10), jnp.nan)


def _check_tail(num_samples: int) -> None:
    if num_samples < 25:
        raise ValueError(f"the tail of the weights is estimated from at least 25 samples, got {num_samples}")


def _draw(key: PRNGKey, proposal: distrax.Distribution, num_samples: int, batch: int) -> tuple[Latent, Array | None]:
    """Returns z, leaves `[num_samples, batch, ...]`, and its log q(z | x) if the proposal weighs as it draws."""
    match proposal.batch_shape:
        case (n,) if n == batch:
            shape = (num_samples,)
        case ():
            shape = (num_samples, batch)
        case other:
            raise ValueError(
                f"the proposal has the batch shape {other}: for {batch} examples it must be ({batch},) or ()"
            )
    if draws_with_log_prob(proposal):
        return proposal.sample_and_log_prob(seed=key, sample_shape=shape)
    return proposal.sample(seed=key, sample_shape=shape), None


def _is_discrete(tree: Any) -> set[bool]:
    """Whether the leaves, arrays or types, are of integers: one truth, or two for a mixture."""
    return {not jnp.issubdtype(getattr(leaf, "dtype", leaf), jnp.floating) for leaf in jax.tree.leaves(tree)}


def _names(distribution: distrax.Distribution) -> str:
    return ", ".join(jnp.dtype(leaf).name for leaf in jax.tree.leaves(distribution.dtype))


def _beside(factor: Array, leaf: Array) -> Array:
    return factor.reshape(factor.shape + (1,) * (leaf.ndim - 2))


def _replace(z: Latent, where: Array, index: Array) -> Latent:
    """z with its samples `where` `[k, batch]` replaced by those of `index` `[batch]`."""

    def replace(leaf):
        best = jnp.take_along_axis(leaf, _beside(index[None], leaf), axis=0)
        return jnp.where(_beside(where, leaf), best, leaf)

    return jax.tree.map(replace, z)


def _scale_gradient(z: Latent, factor: Array) -> Latent:
    """z, whose gradient is multiplied by `factor` `[k, batch]`."""
    return jax.tree.map(lambda leaf: _value_of(leaf, _beside(factor, leaf) * leaf), z)


@jax.custom_jvp
def _value_of(value: Array, differentiable: Array) -> Array:
    """`value`, with the gradient of `differentiable`."""
    return value


@_value_of.defjvp
def _(primals, tangents):
    return primals[0], tangents[1]
