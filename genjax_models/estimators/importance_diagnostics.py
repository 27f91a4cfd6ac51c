"""Diagnostics of importance weights: they tell whether the draws of q are enough for an estimate of log p(x).

They see only where q draws. If q misses a mode of the posterior, all weights look good, and the estimate is too low by
the missing share: log 2 nats for one of two equal modes. Annealing from the prior does not depend on q
(`evaluation.annealed`).

Log-weights are `[k, batch]`, as in `importance`.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_num_samples
from genjax_models.types import Array

# It stands beside every verdict of k-hat.
BLIND_TO_MISSED_MODES = "k-hat cannot see a mode of the posterior that the encoder misses."


def effective_sample_size(log_weights: Array) -> Array:
    """Returns (sum_i w_i)^2 / sum_i w_i^2, `[batch]`, from 1 (one weight dominates) to k; 0 if all weights are zero.

    Divided by k it tends to 1 / (1 + R), with R the relative variance of a weight (Kong, 1992). It is too high if the
    samples miss the large weights: see `pareto_k_hat`.
    """
    largest = jnp.max(log_weights, axis=0, keepdims=True)
    empty = largest == -jnp.inf
    weights = jnp.exp(log_weights - jnp.where(empty, 0, largest))  # of any size: a difference of two logs would cancel
    size = jnp.sum(weights, axis=0) ** 2 / jnp.where(empty[0], 1, jnp.sum(weights**2, axis=0))
    return jnp.where(empty[0], 0, jnp.clip(size, 1, len(log_weights)))


def check_weights(log_weights: Array) -> None:
    """Checks log-weights `[k, batch]`. It reads values, so it cannot be traced.

    Raises:
      ValueError: all k weights of an example are zero, or one is NaN or infinite. The error names the examples.
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
    """Returns the shape of the weights' upper tail, `[batch]`: weights have 1 / shape finite moments.

    A generalised Pareto distribution is fitted to the largest min(k/5, 3 sqrt(k)) weights (Vehtari, Simpson, Gelman,
    Yao and Gabry, 2024) by the empirical Bayes estimate of Zhang and Stephens (2009), drawn to 1/2 as if by ten further
    weights. A shape above 1/2 means an infinite variance, above 1 an infinite mean. Trust the estimate of an example
    whose shape is below `pareto_k_threshold`, if q misses no mode of the posterior: k-hat cannot see a missed mode. All
    sums are taken in logs, so weights may have any size.

    Args:
      log_weights: `[k, batch]`, k at least 25.

    Returns:
      `[batch]`; NaN where fewer than five weights are larger than those below the tail. Then all weights are equal, as
      at the exact posterior, or nearly all are zero.

    Raises:
      ValueError: k is below 25, which leaves fewer than five weights to fit.
    """
    k = len(log_weights)
    _check_tail(k)
    size = math.ceil(min(k / 5, 3 * math.sqrt(k)))
    largest = jax.lax.top_k(log_weights.T, size + 1)[0].T[::-1]  # cheaper than a sort of all weights
    cutoff, tail = largest[:1], largest[1:]
    above = tail > cutoff
    log_excesses = jnp.where(above, tail + jnp.log(-jnp.expm1(jnp.where(above, cutoff - tail, -1))), -jnp.inf)
    return jax.vmap(_generalised_pareto_shape, in_axes=1)(log_excesses)


def pareto_k_threshold(num_samples: int) -> float:
    """Returns min(1 - 1 / log10(k), 0.7): below this `pareto_k_hat`, k samples are enough (Vehtari et al., 2024).

    They are not enough if q misses a mode of the posterior, which `pareto_k_hat` cannot see.

    Raises:
      ValueError: `num_samples` is not an integer of at least 25.
    """
    check_num_samples(num_samples)
    _check_tail(num_samples)
    return min(1 - 1 / math.log10(num_samples), 0.7)


def _generalised_pareto_shape(log_y: Array) -> Array:
    """Returns the shape by Zhang and Stephens (2009) from logs of excesses y, `[size]`, ascending; -inf does not count.

    For b < 1 / max(y) the profile likelihood has the shape k(b) = mean log(1 - b y) and n (log(-b / k) - k - 1) nats;
    The estimate is k(b) at the average of b over a grid. With u = y / max(y) and exp(s) = 1 - b max(y) > 0, nothing
    overflows: 1 - b y = (1 - u) + exp(s) u.
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
