"""log Z of a Boltzmann machine, and log p(x) with it.

Annealing gives log Z as log Z_0 + log mean w, with E[w] = Z / Z_0 (`estimators.annealed_partition`). A log of a mean is
too low in expectation. So log p(x) = -F(x) - log Z is too high in expectation: the estimate flatters the machine. Up to
20 units in the smaller layer, log Z is exact. A deep machine of v, h and g is a restricted one of (v, g) and h. Its
log p(x) has only a lower bound, by mean field.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.estimators.annealed_partition import annealed_partition, rbm_path
from genjax_models.estimators.annealing_path import linear_schedule
from genjax_models.estimators.boltzmann import MOST_UNITS, log_partition_exact
from genjax_models.estimators.checks import check_binary, check_count
from genjax_models.estimators.distributions import logits_of_mean
from genjax_models.estimators.importance import log_mean_exp
from genjax_models.estimators.importance_diagnostics import effective_sample_size
from genjax_models.evaluation.examples import check_examples, map_examples
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.data_mean import check_data_mean
from genjax_models.types import Array, PRNGKey, Variables


class Partition(NamedTuple):
    """An estimate of log Z, in nats.

    Attributes:
      log_partition: log Z.
      standard_error: standard error of log Z, by the delta method; 0 if log Z is exact.
      effective_sample_size: of the weights of the chains, from 1 to `num_chains`. If it is near 1, the standard error
        is too small.
      num_chains: number of chains; 0 if log Z is exact.
    """

    log_partition: Array
    standard_error: Array
    effective_sample_size: Array
    num_chains: int


def estimate_partition(
    machine: BoltzmannMachine,
    variables: Variables,
    key: PRNGKey,
    *,
    num_chains: int = 100,
    num_temperatures: int = 10_000,
    exact: bool | None = None,
    base_rates: Array | None = None,
) -> Partition:
    """Returns log Z: by enumeration of the smaller layer, (v, g) or h, or by annealing from base rates.

    Args:
      machine: a machine without classes.
      variables: variables of the machine (of one player, not of all players).
      key: randomness of the chains.
      num_chains: number of chains, at least 2.
      num_temperatures: number of temperatures, at least 2. A temperature costs a Gibbs sweep of all chains.
      exact: whether to enumerate; None if the smaller layer has at most 20 units.
      base_rates: share in which each unit is on where annealing starts, `[*shape]`. None: the machine's `data_mean` if
        it is an array, else one half. The units of g start at one half.

    Raises:
      ValueError: the machine has classes, a count is too low, `base_rates` has another shape or
        is outside [0, 1], or a layer is too large to enumerate.
    """
    check_count("num_chains", num_chains, at_least=2)
    check_count("num_temperatures", num_temperatures, at_least=2)
    layers = machine.restricted(variables)
    if exact or (exact is None and min(layers[0].shape) <= MOST_UNITS):
        return exact_partition(jax.jit(log_partition_exact)(*layers))
    base = jnp.zeros_like(layers[1])
    if base_rates is None and not isinstance(machine.data_mean, str):
        base_rates = machine.data_mean
    if base_rates is not None:
        check_data_mean(base_rates, machine.shape, "base_rates")
        rates = logits_of_mean(jnp.asarray(base_rates, base.dtype))
        base = base.at[: rates.size].set(rates)
    log_weights, log_start = _annealed(key, layers, base, num_chains, num_temperatures)
    return partition_of(log_weights, log_start)


def exact_partition(log_partition: Array) -> Partition:
    """Returns log Z without an error."""
    zero = jnp.zeros(())
    return Partition(log_partition, zero, zero, 0)


def partition_of(log_weights: Array, log_start: Array) -> Partition:
    """Returns log Z from the log-weights of chains `[num_chains]` and log Z_0, with its standard error.

    `num_chains` is at least 2.
    """
    num_chains = len(log_weights)
    log_mean = log_mean_exp(log_weights)
    relative = jnp.std(jnp.exp(log_weights - log_mean), ddof=1)
    size = effective_sample_size(log_weights[:, None])[0]
    return Partition(log_start + log_mean, relative / num_chains**0.5, size, num_chains)


@partial(jax.jit, static_argnums=(3, 4))
def _annealed(
    key: PRNGKey, layers: tuple[Array, Array, Array], base: Array, num_chains: int, num_temperatures: int
) -> tuple[Array, Array]:
    """Returns the log-weights of the chains, and log Z_0."""
    path = rbm_path(*layers, base)
    options = {"num_chains": num_chains, "schedule": linear_schedule(num_temperatures)}
    log_weights, _ = annealed_partition(key, path.start, path.log_density, path.transition, **options)
    return log_weights, path.log_partition


def boltzmann_log_likelihood(
    machine: BoltzmannMachine,
    variables: Variables,
    x: Array,
    log_partition: Array,
    *,
    sweeps: int = 50,
    batch_size: int = 1_000,
) -> Array:
    """Returns log p(x) of examples `[n, *shape]`, `[n]` in nats; of a deep machine a lower bound, if log Z is exact.

    A restricted machine has log p(x) = -F(x) - log Z. In a deep machine the mean-field bound is at most -F(x)
    (Salakhutdinov and Hinton, 2009). A log Z by annealing is too low in expectation: the result can then exceed
    log p(x).

    Args:
      machine: a machine.
      variables: variables of the machine.
      x: examples in {0, 1}.
      log_partition: log Z, of `estimate_partition`. All examples share its error.
      sweeps: sweeps of mean field of a deep machine. More sweeps give a higher bound.
      batch_size: examples in memory at once.

    Raises:
      ValueError: x is not of the machine's shape or not in {0, 1}, or `sweeps` is no integer of at least 1.
    """
    check_examples(machine, x)
    check_binary("x", x)
    check_count("sweeps", sweeps)

    def log_unnormalised(_: PRNGKey, one: Array) -> Array:
        if len(machine.hidden) == 1:
            return -machine.free_energy(variables, one[None])[0]
        seen = one[None], jnp.ones((1, *one.shape), bool)
        return machine.bound(variables, machine.infer(variables, *seen, sweeps=sweeps), *seen)[0]

    nothing = jax.random.key(0)  # nothing is drawn
    return map_examples(log_unnormalised, nothing, x, batch_size=batch_size) - log_partition
