"""The coefficient of a new feature of an energy model: self-supervised boosting (Welling, Zemel and Hinton, 2002).

An energy model q(x) ~ exp(-E(x)) gains a feature, E - a f(x). Then

    KL(p || q_new) = KL(p || q) - gain,    gain = a E_p f - log E_q exp(a f).

The gain is concave in a. At its maximum E_p f = E_q[exp(a f) f] / E_q exp(a f): the feature has one mean under the data
and under the new model, and no logistic regression on it tells them apart.
"""

import math

import chex
import jax
import jax.numpy as jnp

from genjax_models.types import Array

_STEPS = 60  # of a search that halves its bracket: past the precision of float32 and float64
_LARGEST = 30.0  # |a| max(1, max f - min f): densities change by e^30 at most


def best_coefficient(on_data: Array, on_negatives: Array, *, least_effective: float = 1 / 3) -> tuple[Array, Array]:
    """Returns the coefficient a of the largest gain, and the effective share of the negatives at a; both scalars.

    Newton's method, kept in a bracket that shrinks. The effective share is the effective sample size of the weights
    exp(a f) over the number of negatives. Where it would be below `least_effective`, a is nearer to 0, so that the
    negatives still say something about the new model. A feature that tells all data from all negatives has no best a,
    and one that is nearly constant has a very large one. So |a| is at most 30, and less where f spans more than 1.
    The outputs are not to be differentiated: for a constant feature the gradient is NaN.

    Args:
      on_data: f of the data, `[n]`.
      on_negatives: f of the negatives, which are draws from q, `[m]`. If it is constant, a is 0.
      least_effective: in (0, 1].

    Raises:
      ValueError: `least_effective` is outside (0, 1].
    """
    chex.assert_rank([on_data, on_negatives], 1)
    if not 0 < least_effective <= 1:
        raise ValueError(f"least_effective must be in (0, 1], got {least_effective!r}. It is a share of the negatives.")
    f = on_negatives - jnp.mean(on_negatives)
    target = jnp.mean(on_data) - jnp.mean(on_negatives)
    varies = jnp.max(f) > jnp.min(f)
    both = jnp.concatenate([on_data, on_negatives])
    furthest = jnp.sign(target) * _LARGEST / jnp.maximum(jnp.max(both) - jnp.min(both), 1)

    def newton(_, search):
        a, near, far = search  # the maximum is between near and far
        weights = jax.nn.softmax(a * f)
        mean = weights @ f
        beyond = (mean - target) * jnp.sign(target) > 0
        near, far = jnp.where(beyond, near, a), jnp.where(beyond, a, far)
        step = a + (target - mean) / jnp.maximum(weights @ (f - mean) ** 2, jnp.finfo(f.dtype).tiny)
        inside = (step - near) * (step - far) < 0
        return jnp.where(inside, step, (near + far) / 2), near, far

    zero = jnp.zeros_like(furthest)
    a = jax.lax.fori_loop(0, _STEPS, newton, (zero, zero, furthest))[0]

    def halve(_, bracket):
        fits, too_far = bracket
        middle = (fits + too_far) / 2
        enough = _effective(middle, f) >= least_effective
        return jnp.where(enough, middle, fits), jnp.where(enough, too_far, middle)

    smaller = jax.lax.fori_loop(0, _STEPS, halve, (zero, a))[0]  # the share falls as |a| grows
    a = jnp.where(_effective(a, f) >= least_effective, a, smaller)
    a = jnp.where(varies & (target != 0), a, 0)
    return a, _effective(a, f)


def gain(coefficient: Array, on_data: Array, on_negatives: Array) -> Array:
    """Returns a E_p f - log E_q exp(a f), by how much KL(p || q) falls: a scalar in nats.

    `coefficient` a is a scalar; `on_data` `[n]` and `on_negatives` `[m]` are as in `best_coefficient`.
    """
    chex.assert_rank([on_data, on_negatives], 1)
    log_ratio = jax.nn.logsumexp(coefficient * on_negatives) - math.log(len(on_negatives))
    return coefficient * jnp.mean(on_data) - log_ratio


def _effective(a: Array, f: Array) -> Array:
    """Returns the effective sample size of the weights exp(a f), as a share of their number."""
    return 1 / (jnp.sum(jax.nn.softmax(a * f) ** 2) * len(f))
