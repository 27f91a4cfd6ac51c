"""Step sizes for annealed importance sampling, adapted in a pilot run."""

from collections.abc import Callable
from typing import Any

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.annealing_path import make_transitions, start_path
from genjax_models.estimators.checks import check_count
from genjax_models.estimators.hamiltonian import hamiltonian_transition, position
from genjax_models.types import Array, PRNGKey


def adapt_step_size(
    key: PRNGKey,
    x: Array,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    *,
    num_chains: int,
    schedule: Array,
    num_leapfrog: int = 10,
    initial: distrax.Distribution | None = None,
    target_acceptance: float = 0.65,
    first_step_size: float = 0.5,
    num_updates: int = 10,
) -> Array:
    """Returns a step size per transition and example, to be kept fixed in forward and reverse chains.

    Pilot chains go forward once and move `num_updates` times at each temperature. The step size of each example follows

        log step_size += (acceptance - target_acceptance) / sqrt(k),      k = 1, ..., num_updates

    (Robbins and Monro, 1951). It starts from the last step size of the previous temperature. `acceptance` is the mean
    over chains.

    Args:
      key: randomness of the pilot. It must differ from the keys of all chains that use the step sizes: a step size that
        depends on the chain that it moves biases the weights.
      x, prior, likelihood, schedule, num_leapfrog, initial: as in `annealed_importance_sampling`.
      num_chains: pilot chains, at least 1; a dozen are enough.
      target_acceptance: within (0, 1); 0.65 is near the optimum for Hamiltonian transitions (Neal, 2011).
      first_step_size: the initial step size at the first temperature.
      num_updates: updates per temperature, at least 1. A schedule of a few temperatures needs many; for thousands of
        temperatures, whose neighbours hardly differ, 1 is enough. The pilot costs `num_updates` runs of `num_chains`.

    Returns:
      Positive step sizes, `[T, batch]`: row t is for the transition at beta_{t+1}.

    Raises:
      AssertionError, ValueError: as in `annealed_importance_sampling`; `target_acceptance` is outside (0, 1), or
        `first_step_size` is not positive and finite.
    """
    for name, count in (("num_chains", num_chains), ("num_leapfrog", num_leapfrog), ("num_updates", num_updates)):
        check_count(name, count)
    if not 0 < target_acceptance < 1:
        raise ValueError(f"target_acceptance must be within (0, 1), got {target_acceptance!r}")
    if not 0 < first_step_size < np.inf:
        raise ValueError(f"first_step_size must be positive and finite, got {first_step_size!r}")
    initial_key, chain_key = jax.random.split(key)
    transitions = make_transitions(chain_key, schedule, first_step_size, x.shape[0])
    path, z = start_path(initial_key, x, prior, likelihood, initial, num_chains)

    def adapt(chain, transition):
        def update(chain, k_and_key):
            (at, log_step_size), (k, key) = chain, k_and_key
            density, step_size = path.at(transition.beta), jnp.exp(log_step_size)
            at, acceptance = hamiltonian_transition(key, at, path.terms, density, step_size, num_leapfrog)
            log_step_size += (jnp.mean(acceptance, axis=0) - target_acceptance) / jnp.sqrt(k)
            return jax.lax.stop_gradient((at, log_step_size)), None

        updates = jnp.arange(1, num_updates + 1), jax.random.split(transition.key, num_updates)
        chain, _ = jax.lax.scan(update, chain, updates)
        return chain, jnp.exp(chain[1])

    start = position(z, path.terms), jnp.log(transitions.step_size[0])
    _, step_sizes = jax.lax.scan(adapt, start, transitions)
    return step_sizes
