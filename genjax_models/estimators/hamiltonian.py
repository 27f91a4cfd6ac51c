"""Hamiltonian Monte Carlo (Neal, 2011): one transition that leaves a density invariant."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from genjax_models.types import Array, PRNGKey

LogDensity = Callable[[Array], Array]  # z [chains, batch, d] -> [chains, batch], nats


def hamiltonian_transition(
    key: PRNGKey, z: Array, log_density: LogDensity, step_size: Array, num_leapfrog: int
) -> tuple[Array, Array]:
    """Moves each chain of each example once: a fresh momentum, leapfrog steps and a Metropolis correction.

    The transition is reversible with respect to exp(log_density).

    Args:
      key: randomness of the momenta and of the acceptance.
      z: positions, `[chains, batch, d]`.
      log_density: z -> unnormalised log-densities `[chains, batch]`, differentiable.
      step_size: step size of the leapfrog integrator, `[batch]`.
      num_leapfrog: leapfrog steps, at least 1.

    Returns:
      The new z, and the acceptance probability of each proposal, `[chains, batch]`. A proposal whose integration
      diverges is rejected.
    """
    momentum_key, accept_key = jax.random.split(key)
    momentum = jax.random.normal(momentum_key, z.shape, z.dtype)
    step_size = step_size[None, :, None].astype(z.dtype)

    def value_and_gradient(z):
        value, pull_back = jax.vjp(log_density, z)
        return value, *pull_back(jnp.ones_like(value))

    def leapfrog(_, state):
        z, momentum, _, gradient = state
        momentum = momentum + step_size / 2 * gradient
        z = z + step_size * momentum
        value, gradient = value_and_gradient(z)
        return z, momentum + step_size / 2 * gradient, value, gradient

    start_value, start_gradient = value_and_gradient(z)
    start = z, momentum, start_value, start_gradient
    proposal, end_momentum, end_value, _ = jax.lax.fori_loop(0, num_leapfrog, leapfrog, start)

    kinetic = lambda momentum: jnp.sum(momentum**2, axis=-1) / 2
    log_ratio = (end_value - kinetic(end_momentum)) - (start_value - kinetic(momentum))
    acceptance = jnp.nan_to_num(jnp.exp(jnp.minimum(log_ratio, 0)), nan=0.0)  # rejects a diverged integration
    accepted = jax.random.uniform(accept_key, acceptance.shape) < acceptance
    return jnp.where(accepted[..., None], proposal, z), acceptance
