"""Hamiltonian Monte Carlo (Neal, 2011): one transition that leaves a density invariant."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.types import Array, PRNGKey

LogDensity = Callable[[Array], Array]  # z [chains, batch, d] -> [chains, batch], nats


class Position(NamedTuple):
    """z `[chains, batch, d]`, with the values `[chains, batch]` and the gradients `[chains, batch, d]` of terms.

    The log-density is a combination of the terms. Chains keep the terms, so that nothing is evaluated again where the
    next transition has another combination.
    """

    z: Array
    values: tuple[Array, ...]
    gradients: tuple[Array, ...]


def position(z: Array, terms: tuple[LogDensity, ...]) -> Position:
    """Returns z with values and gradients of the terms."""
    evaluated = [jax.vjp(term, z) for term in terms]
    values = tuple(value for value, _ in evaluated)
    return Position(z, values, tuple(pull_back(jnp.ones_like(value))[0] for value, pull_back in evaluated))


def hamiltonian_transition(
    key: PRNGKey,
    start: Position,
    terms: tuple[LogDensity, ...],
    combine: Callable[..., Array],
    step_size: Array,
    num_leapfrog: int,
) -> tuple[Position, Array]:
    """Moves each chain of each example once: a fresh momentum, leapfrog steps and a Metropolis correction.

    The transition is reversible with respect to the exponential of the combined terms.

    Args:
      key: randomness of the momenta and of the acceptance.
      start: positions, from `position`.
      terms: each z -> `[chains, batch]`, differentiable.
      combine: values of the terms -> the unnormalised log-density; linear, so that it combines gradients too.
      step_size: step size of the leapfrog integrator, `[batch]`.
      num_leapfrog: leapfrog steps, at least 1.

    Returns:
      The new positions, and the acceptance probability of each proposal, `[chains, batch]`. A proposal whose
      integration diverges is rejected.
    """
    momentum_key, accept_key = jax.random.split(key)
    dtype = start.z.dtype
    momentum = jax.random.normal(momentum_key, start.z.shape, dtype)
    step_size = step_size[None, :, None].astype(dtype)
    gradient = lambda at: combine(*at.gradients).astype(dtype)

    def leapfrog(_, state):
        at, momentum = state
        momentum = momentum + step_size / 2 * gradient(at)
        at = position(at.z + step_size * momentum, terms)
        return at, momentum + step_size / 2 * gradient(at)

    proposal, end_momentum = jax.lax.fori_loop(0, num_leapfrog, leapfrog, (start, momentum))

    kinetic = lambda momentum: jnp.sum(momentum**2, axis=-1) / 2
    start_value, end_value = combine(*start.values), combine(*proposal.values)
    log_ratio = (end_value - kinetic(end_momentum)) - (start_value - kinetic(momentum))
    acceptance = jnp.nan_to_num(jnp.exp(jnp.minimum(log_ratio, 0)), nan=0.0)  # rejects a diverged integration
    accepted = jax.random.uniform(accept_key, acceptance.shape) < acceptance
    choose = lambda new, old: jnp.where(accepted.reshape(accepted.shape + (1,) * (new.ndim - 2)), new, old)
    return jax.tree.map(choose, proposal, start), acceptance
