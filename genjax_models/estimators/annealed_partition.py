"""The log partition function by annealed importance sampling (Neal, 2001; Salakhutdinov and Murray, 2008).

A path of unnormalised densities f_t leads from f_0, whose Z_0 is known and which can be sampled, to f_1. A chain has

    w = prod_k f_{t_k}(s_{k-1}) / f_{t_{k-1}}(s_{k-1}),    E[w] = Z_1 / Z_0,

with s_0 from f_0, and s_k from s_{k-1} by a transition that leaves f_{t_k} invariant. So log Z_0 + log mean w is below
log Z_1 in expectation, at every number of temperatures and chains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.annealing_path import checked_schedule
from genjax_models.estimators.boltzmann import bernoulli_of, gibbs_sweep
from genjax_models.estimators.checks import check_count
from genjax_models.types import Array, PRNGKey

States = Any  # a pytree with leaves [num_chains, ...]


class PartitionPath(NamedTuple):
    """A path for `annealed_partition`, and the log partition function of its start, in nats."""

    start: Callable[[PRNGKey, int], States]
    log_density: Callable[[States, Array], Array]
    transition: Callable[[PRNGKey, States, Array], States]
    log_partition: Array


def annealed_partition(
    key: PRNGKey,
    start: Callable[[PRNGKey, int], States],
    log_density: Callable[[States, Array], Array],
    transition: Callable[[PRNGKey, States, Array], States],
    *,
    num_chains: int,
    schedule: Array,
) -> tuple[Array, States]:
    """Returns log w per chain, `[num_chains]` in nats, and the states at the end, approximate draws of f_1.

    Args:
      key: randomness of the start and all transitions.
      start: (key, num_chains) -> independent draws from f_0, leaves `[num_chains, ...]`.
      log_density: (states, t) -> log f_t, `[num_chains]`.
      transition: (key, states, t) -> states after a move that leaves f_t invariant.
      num_chains: number of independent chains.
      schedule: temperatures t_0 = 0 < ... < t_T = 1, `[T + 1]`.

    Raises:
      ValueError: `num_chains` is no integer of at least 1, or the schedule does not increase strictly from 0 to 1.
    """
    check_count("num_chains", num_chains)
    temperatures = checked_schedule(schedule)
    start_key, key = jax.random.split(key)
    states = start(start_key, num_chains)

    def anneal(chain, transition_inputs):
        (states, log_weights), (key, before, after) = chain, transition_inputs
        increment = log_density(states, after) - log_density(states, before)  # before the move
        chex.assert_shape(increment, (num_chains,))
        return (transition(key, states, after), log_weights + increment), None

    keys = jax.random.split(key, len(temperatures) - 1)
    log_weights = jnp.zeros(num_chains, jax.eval_shape(log_density, states, jnp.zeros(())).dtype)
    inputs = keys, *(jnp.asarray(t, log_weights.dtype) for t in (temperatures[:-1], temperatures[1:]))
    (states, log_weights), _ = jax.lax.scan(anneal, (states, log_weights), inputs)
    return log_weights, states


def rbm_path(weights: Array, visible_bias: Array, hidden_bias: Array, base_bias: Array) -> PartitionPath:
    """Returns the path from independent units to a restricted Boltzmann machine, over v `[num_chains, d]`.

        f_t(v) = exp((1 - t) v'b_A + t v'b) prod_j (1 + exp(t (c + v W)_j)),    Z_0 = 2^hidden prod_i (1 + exp b_A,i)

    Salakhutdinov and Murray, 2008. A transition is one Gibbs sweep.

    Args:
      weights, visible_bias, hidden_bias: W `[d, hidden]`, b `[d]`, c `[hidden]`.
      base_bias: b_A `[d]`, logits of the base rates: the share of examples of the data in which a unit is on.
    """
    chex.assert_shape(weights, (*visible_bias.shape, *hidden_bias.shape))
    chex.assert_equal_shape([visible_bias, base_bias])

    def at(t: Array) -> tuple[Array, Array, Array]:
        return t * weights, (1 - t) * base_bias + t * visible_bias, t * hidden_bias

    def start(key: PRNGKey, num_chains: int) -> Array:
        return bernoulli_of(key, jnp.broadcast_to(base_bias, (num_chains, *base_bias.shape)), weights.dtype)

    def log_density(v: Array, t: Array) -> Array:
        weights, visible_bias, hidden_bias = at(t)
        return v @ visible_bias + jnp.sum(jax.nn.softplus(hidden_bias[None] + v @ weights), axis=1)

    log_partition = jnp.sum(jax.nn.softplus(base_bias)) + hidden_bias.size * np.log(2.0)
    return PartitionPath(start, log_density, lambda key, v, t: gibbs_sweep(key, v, *at(t)), log_partition)
