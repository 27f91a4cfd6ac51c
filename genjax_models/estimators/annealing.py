"""Annealed importance sampling, forward and reverse: a lower and an upper bound on log p(x).

A path of unnormalised densities f_beta leads from an initial distribution to the joint density p(x, z), along a
schedule 0 = beta_0 < ... < beta_T = 1 (see `annealing_path`). With K_t a Markov transition that leaves f_{beta_t}
invariant, there are two kinds of chains:

    z_0 ~ initial,      z_t ~ K_t(. | z_{t-1})           t = 1, ..., T           (forward)
    z_T ~ p(z | x),     z_{t-1} ~ K_t(. | z_t)           t = T, ..., 1           (reverse; K_t is reversible)

Both have the log-weight

    log w = sum_t (beta_{t+1} - beta_t) log f_1(z_t) / f_0(z_t),     t = 0, ..., T - 1.

E[w] = p(x) over forward chains and E[1 / w] = 1 / p(x) over reverse chains (Neal, 2001), for any schedule and any such
transitions. By Jensen's inequality, the log-mean-exp of the forward log-weights is below log p(x) in expectation, and
minus the log-mean-exp of the negative reverse log-weights is above. The two bounds meet as the number of temperatures
grows: bidirectional Monte Carlo (Grosse, Ghahramani and Adams, 2015; Wu et al., 2017).

Reverse chains need exact samples of the posterior. They exist for data that the model itself drew, `z ~ p(z)`,
`x ~ p(x | z)`, and for a known posterior. On real data only the lower bound holds.

Transitions are Hamiltonian (Neal, 2011) and need log-densities that are differentiable in z. The results are constant
to `jax.grad`: an accepted or rejected proposal has no gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import distrax
import jax
import jax.numpy as jnp

from genjax_models.estimators.annealing_path import AnnealingPath, Transitions, make_path, make_transitions, start_path
from genjax_models.estimators.checks import check_count
from genjax_models.estimators.hamiltonian import Position, hamiltonian_transition, position
from genjax_models.types import Array, PRNGKey


class AnnealedChains(NamedTuple):
    """The weights and the last states of chains.

    `log_weights` is `[num_chains, batch]`, in nats. `z` has leaves `[num_chains, batch, ...]`: the last states, at
    beta = 1 after a forward run and at beta_1 after a reverse run. `acceptance` `[batch]` is the mean acceptance
    probability over chains and transitions.
    """

    log_weights: Array
    z: Any
    acceptance: Array


def annealed_importance_sampling(
    key: PRNGKey,
    x: Array,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    *,
    num_chains: int,
    schedule: Array,
    step_size: Array,
    num_leapfrog: int = 10,
    initial: distrax.Distribution | None = None,
) -> AnnealedChains:
    """Runs forward chains, whose weights are unbiased for p(x); `lower_bound` of their log-weights bounds log p(x).

    Args:
      key: randomness of the chains.
      x: data, `[batch, ...]`.
      prior: p(z), with batch shape `()` or `[batch]`; z may be any pytree of floats.
      likelihood: z with leaves `[num_chains, batch, ...]` -> p(x | z); each example depends only on its own z.
      num_chains: independent chains per example, at least 1.
      schedule: beta_0, ..., beta_T, from 0 to 1, known before compilation. See `linear_schedule`,
        `sigmoidal_schedule`.
      step_size: step size of the leapfrog integrator: a number, `[batch]`, or `[T, batch]` with a row per transition,
        as `adapt_step_size` returns. It must not depend on the chains that it moves.
      num_leapfrog: leapfrog steps per transition, at least 1.
      initial: start of the path; None is the prior. For example q(z | x), with batch shape `()` or `[batch]`.

    Returns:
      `AnnealedChains` with E[exp(log_weights)] = p(x). A proposal whose integration diverges is rejected.

    Raises:
      AssertionError: while tracing, log-probabilities are not `[num_chains, batch]`.
      ValueError: the schedule does not increase strictly from 0 to 1, a count is no integer of at least 1, the step
        size is not positive and finite or has another shape, a distribution has another batch shape, or z is not of
        floats.
    """
    check_count("num_chains", num_chains)
    check_count("num_leapfrog", num_leapfrog)
    initial_key, chain_key = jax.random.split(key)
    transitions = make_transitions(chain_key, schedule, step_size, x.shape[0])
    path, z = start_path(initial_key, x, prior, likelihood, initial, num_chains)

    def anneal(chain, transition):
        at, log_weights = chain
        log_weights = log_weights + transition.increment * at.values[1]
        at, acceptance = _moved(path, at, transition, num_leapfrog)
        return jax.lax.stop_gradient(((at, log_weights), jnp.mean(acceptance, axis=0)))

    (at, log_weights), acceptance = jax.lax.scan(anneal, _start(path, z, transitions), transitions)
    return AnnealedChains(log_weights, path.unflatten(at.z), jnp.mean(acceptance, axis=0))


def reverse_annealed_importance_sampling(
    key: PRNGKey,
    x: Array,
    z: Any,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    *,
    schedule: Array,
    step_size: Array,
    num_leapfrog: int = 10,
    initial: distrax.Distribution | None = None,
) -> AnnealedChains:
    """Runs reverse chains from exact posterior samples; `upper_bound` of their log-weights bounds log p(x).

    Args:
      z: exact samples of p(z | x), leaves `[num_chains, batch, ...]`. If x was drawn from the model, z is the latent
        that x was drawn with. The bound also holds if all chains of an example start at the same exact sample.
      key, x, prior, likelihood, schedule, step_size, num_leapfrog, initial: as in `annealed_importance_sampling`. The
        schedule is the forward schedule, from 0 to 1; chains go from its end to its start. Row t of `step_size` moves
        between the same two temperatures in both directions.

    Returns:
      `AnnealedChains` with E[exp(-log_weights)] = 1 / p(x).

    Raises:
      AssertionError, ValueError: as in `annealed_importance_sampling`.
    """
    check_count("num_leapfrog", num_leapfrog)
    transitions = make_transitions(key, schedule, step_size, x.shape[0])
    path, z = make_path(x, z, prior, likelihood, initial)

    def anneal(chain, transition):
        at, log_weights = chain
        at, acceptance = _moved(path, at, transition, num_leapfrog)
        log_weights = log_weights + transition.increment * at.values[1]
        return jax.lax.stop_gradient(((at, log_weights), jnp.mean(acceptance, axis=0)))

    (at, log_weights), acceptance = jax.lax.scan(anneal, _start(path, z, transitions), transitions, reverse=True)
    return AnnealedChains(log_weights, path.unflatten(at.z), jnp.mean(acceptance, axis=0))


def _start(path: AnnealingPath, z: Array, transitions: Transitions) -> tuple[Position, Array]:
    """Returns the positions of chains at `z`, and their log-weights: 0."""
    at = position(z, path.terms)
    return at, jnp.zeros(z.shape[:2], jnp.result_type(at.values[1], transitions.increment))


def _moved(path: AnnealingPath, at: Position, transition: Transitions, num_leapfrog: int) -> tuple[Position, Array]:
    """Returns the positions after one transition, and the acceptance probabilities."""
    density = path.at(transition.beta)
    return hamiltonian_transition(transition.key, at, path.terms, density, transition.step_size, num_leapfrog)


def lower_bound(log_weights: Array) -> Array:
    """Returns log 1/n sum_i w_i of forward chains: at most log p(x) in expectation.

    `log_weights` `[num_chains, batch]` -> `[batch]`, in nats.
    """
    chex.assert_rank(log_weights, 2)
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


def upper_bound(log_weights: Array) -> Array:
    """Returns -log 1/n sum_i 1/w_i of reverse chains: at least log p(x) in expectation. It needs reverse chains.

    `log_weights` `[num_chains, batch]` -> `[batch]`, in nats.
    """
    return -lower_bound(-log_weights)
