"""Restricted Boltzmann machines, p(v, h) = exp(v'b + h'c + v'W h) / Z over v and h in {0, 1}: Eq. (20.4) and (20.5).

The energy is E(v, h) = -v'b - h'c - v'W h. The sum over h is closed: p(v) = exp(-F(v)) / Z, with the free energy

    F(v) = -v'b - sum_j softplus(c_j + (v W)_j).

Units are numbers of any type, in {0, 1}; chains of int8 stay int8. `weights` W is `[d, hidden]`, `visible_bias` b is
`[d]`, and `hidden_bias` c is `[hidden]`.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from genjax_models.types import Array, PRNGKey

MOST_UNITS = 20  # of a layer that is enumerated: a million states
_BLOCK = 4_096  # states of the enumerated layer at a time
_UNITS_AT_ONCE = 16  # units that are flipped at a time


def free_energy(v: Array, weights: Array, visible_bias: Array, hidden_bias: Array) -> Array:
    """Returns F(v) = -log sum_h exp(-E(v, h)) of v `[n, d]`, `[n]` in nats."""
    v = _checked(v, weights, visible_bias, hidden_bias)
    return -v @ visible_bias - jnp.sum(jax.nn.softplus(hidden_bias[None] + v @ weights), axis=1)


def gibbs_sweep(
    key: PRNGKey, v: Array, weights: Array, visible_bias: Array, hidden_bias: Array, *, observed: Array | None = None
) -> Array:
    """Returns v `[n, d]` after one sweep of block Gibbs sampling: h from p(h | v), then v from p(v | h).

    It leaves p(v) invariant. With `observed` (bool `[n, d]`), true units keep their values bit for bit, and the sweep
    leaves p(missing | observed) invariant.
    """
    old, v = v, _checked(v, weights, visible_bias, hidden_bias)
    if observed is not None:
        chex.assert_equal_shape([old, observed])
        chex.assert_type(observed, bool)
    hidden_key, visible_key = jax.random.split(key)
    h = bernoulli_of(hidden_key, hidden_bias[None] + v @ weights, v.dtype)
    new = bernoulli_of(visible_key, visible_bias[None] + h @ weights.T, old.dtype)
    return new if observed is None else jnp.where(observed, old, new)


def pseudo_log_likelihood(v: Array, weights: Array, visible_bias: Array, hidden_bias: Array) -> Array:
    """Returns sum_i log p(v_i | all other units) of v `[n, d]`, `[n]` in nats (Besag, 1975).

    It needs no Z: log p(v_i | rest) = log sigmoid(F(v with unit i flipped) - F(v)). All units are flipped, a block of
    16 at a time.
    """
    v = _checked(v, weights, visible_bias, hidden_bias)
    d = v.shape[1]
    inputs, flip = hidden_bias[None] + v @ weights, 1 - 2 * v
    now = jnp.sum(jax.nn.softplus(inputs), axis=1)

    def block(units: Array) -> Array:
        change = jnp.take(flip, units, axis=1, mode="clip")
        rows = jnp.take(weights, units, axis=0, mode="clip")
        flipped = jnp.sum(jax.nn.softplus(inputs[:, None] + change[..., None] * rows[None]), axis=2)
        gap = now[:, None] - flipped - change * jnp.take(visible_bias, units, mode="clip")[None]
        return jnp.sum(jnp.where(units[None] < d, jax.nn.log_sigmoid(gap), 0), axis=1)

    units = jnp.arange(-(-d // _UNITS_AT_ONCE) * _UNITS_AT_ONCE).reshape(-1, _UNITS_AT_ONCE)
    return jnp.sum(jax.lax.map(block, units), axis=0)


def log_partition_exact(weights: Array, visible_bias: Array, hidden_bias: Array) -> Array:
    """Returns log Z, a scalar in nats: the sum over all states of the smaller layer, 4,096 at a time.

    Raises:
      ValueError: both layers have more than 20 units.
    """
    chex.assert_shape(weights, (*visible_bias.shape, *hidden_bias.shape))
    if weights.shape[1] > weights.shape[0]:
        weights, visible_bias, hidden_bias = weights.T, hidden_bias, visible_bias
    units = weights.shape[1]
    if units > MOST_UNITS:
        raise ValueError(
            f"the exact log Z needs a layer of at most {MOST_UNITS} units, got {units}. Use annealed_partition."
        )
    size = min(2**units, _BLOCK)

    def block(start: Array) -> Array:
        codes = start + jnp.arange(size)
        h = (codes[:, None] >> jnp.arange(units)[None] & 1).astype(weights.dtype)
        return jax.nn.logsumexp(-free_energy(h, weights.T, hidden_bias, visible_bias))

    return jax.nn.logsumexp(jax.lax.map(block, size * jnp.arange(2**units // size)))


def additive_log_density(
    x: Array,
    weights: Array,
    bias: Array,
    coefficients: Array,
    visible_bias: Array,
    *,
    feature: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Array:
    """Returns x'b + sum_t a_t f(x'w_t + c_t) of x `[n, d]`, `[n]` in nats, without -log Z.

    Args:
      x: units in {0, 1}, `[n, d]`.
      weights: w_t, `[d, features]`.
      bias: c_t, `[features]`.
      coefficients: a_t, `[features]`.
      visible_bias: b, `[d]`.
      feature: f, elementwise. With softplus and a_t = 1 the density is that of a restricted Boltzmann machine.
    """
    x = _checked(x, weights, visible_bias, bias)
    chex.assert_equal_shape([bias, coefficients])
    return x @ visible_bias + feature(bias[None] + x @ weights) @ coefficients


def additive_gibbs_sweep(
    key: PRNGKey,
    x: Array,
    weights: Array,
    bias: Array,
    coefficients: Array,
    visible_bias: Array,
    *,
    feature: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Array:
    """Returns x `[n, d]` after one sweep of Gibbs sampling over the units in turn: no hidden units are needed.

    It leaves the density of `additive_log_density`, which has the same arguments, invariant.
    """
    old, x = x, _checked(x, weights, visible_bias, bias)
    chex.assert_equal_shape([bias, coefficients])

    def one_unit(inputs, unit):
        at, key, row, own_bias = unit
        off = inputs - at[:, None] * row[None]
        on = off + row[None]
        new = bernoulli_of(key, own_bias + (feature(on) - feature(off)) @ coefficients, at.dtype)
        return jnp.where(new[:, None] > 0, on, off), new

    units = x.T, jax.random.split(key, x.shape[1]), weights, visible_bias
    return jax.lax.scan(one_unit, bias[None] + x @ weights, units)[1].T.astype(old.dtype)


def bernoulli_of(key: PRNGKey, logits: Array, dtype: jnp.dtype) -> Array:
    """Returns draws of Bernoulli(sigmoid(logits)) as numbers of `dtype`."""
    return (jax.random.uniform(key, logits.shape, logits.dtype) < jax.nn.sigmoid(logits)).astype(dtype)


def _checked(v: Array, weights: Array, visible_bias: Array, hidden_bias: Array) -> Array:
    """Returns v as floats; its shape and the shapes of the parameters must fit."""
    chex.assert_shape(weights, (*visible_bias.shape, *hidden_bias.shape))
    chex.assert_shape(v, (None, *visible_bias.shape))
    return v.astype(weights.dtype)
