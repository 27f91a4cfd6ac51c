"""What each stage of self-supervised boosting gains, and what its discriminator knows before and after the answer."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from genjax_models.estimators.annealed_partition import annealed_partition
from genjax_models.estimators.annealing_path import linear_schedule
from genjax_models.estimators.boltzmann import additive_gibbs_sweep, additive_log_density
from genjax_models.estimators.checks import check_binary, check_count
from genjax_models.evaluation.partition import Partition, exact_partition, partition_of
from genjax_models.models.additive_energy import AdditiveEnergyModel, parts_of
from genjax_models.types import Array, PRNGKey, Variables

MOST_UNITS = 16  # up to which all states are enumerated


class Stages(NamedTuple):
    """Exact figures over T stages, in nats.

    Attributes:
      kl: KL(data || model) before the first stage and after each, `[T + 1]`.
      before: least loss of a logistic regression on the stage's feature, data against the model before, `[T]`.
      after: the same against the model with the feature; log 4 if it knows nothing, `[T]`.
    """

    kl: np.ndarray
    before: np.ndarray
    after: np.ndarray


def additive_partition(
    model: AdditiveEnergyModel,
    variables: Variables,
    key: PRNGKey,
    *,
    num_chains: int = 100,
    num_temperatures: int = 100,
) -> Partition:
    """Returns log Z: exact up to 16 units, else by annealing from the base, which is too low in expectation.

    Args:
      model: the model.
      variables: variables of the model.
      key: randomness of the chains.
      num_chains: number of chains, at least 2.
      num_temperatures: number of temperatures, at least 2. A temperature costs a Gibbs sweep of all chains, over all
        units in turn.

    Raises:
      ValueError: a count is too low.
    """
    check_count("num_chains", num_chains, at_least=2)
    check_count("num_temperatures", num_temperatures, at_least=2)
    weights, bias, coefficients, base = parts_of(variables)
    if len(base) <= MOST_UNITS:
        log_density = additive_log_density(_states(len(base)), weights, bias, coefficients, base)
        return exact_partition(jax.nn.logsumexp(log_density))
    log_weights, _ = annealed_partition(
        key,
        lambda key, n: model.base(variables, key, n),
        lambda x, t: additive_log_density(x, weights, bias, t * coefficients, base),
        lambda key, x, t: additive_gibbs_sweep(key, x, weights, bias, t * coefficients, base),
        num_chains=num_chains,
        schedule=linear_schedule(num_temperatures),
    )
    return partition_of(log_weights, jnp.sum(jax.nn.softplus(base)))


def boosting_stages(model: AdditiveEnergyModel, variables: Variables, x: Array) -> Stages:
    """Returns what each stage gained, by enumeration of all states.

    Args:
      model: of at most 16 units.
      variables: variables of the model after its last stage.
      x: the data, all equally likely, `[n, *shape]` in {0, 1}.

    Raises:
      ValueError: the model has more units, or x is outside {0, 1}.
    """
    check_binary("x", x)
    weights, bias, coefficients, base = (np.asarray(part, np.float64) for part in parts_of(variables))
    if len(base) > MOST_UNITS:
        raise ValueError(f"enumeration needs at most {MOST_UNITS} units, got {len(base)}")
    states, x = np.asarray(_states(len(base)), np.float64), np.asarray(x, np.float64).reshape(len(x), -1)
    on_states, on_data = (expit(bias + units @ weights) for units in (states, x))
    log_q, log_q_of_data = states @ base, x @ base
    _, counts = np.unique(x, axis=0, return_counts=True)
    entropy = -np.sum(counts / len(x) * np.log(counts / len(x)))
    kl, before, after = [], [], []
    for t in range(len(coefficients) + 1):
        q, log_z = _normalised(log_q)
        kl.append(log_z - np.mean(log_q_of_data) - entropy)
        if t:
            after.append(least_loss(on_data[:, t - 1], on_states[:, t - 1], q))
        if t < len(coefficients):
            before.append(least_loss(on_data[:, t], on_states[:, t], q))
            log_q, log_q_of_data = (
                log + coefficients[t] * on[:, t] for log, on in ((log_q, on_states), (log_q_of_data, on_data))
            )
    return Stages(np.array(kl), np.array(before), np.array(after))


def least_loss(on_data: np.ndarray, on_states: np.ndarray, q: np.ndarray) -> float:
    """Returns the least of E_p softplus(-(a f + b)) + E_q softplus(a f + b) over a and b, in nats."""
    mean, scale = np.mean(on_data), np.std(on_data) + 1e-12
    on_data, on_states = (on_data - mean) / scale, (on_states - mean) / scale

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        of_data, of_states = (parameters[0] * on + parameters[1] for on in (on_data, on_states))
        value = np.mean(np.logaddexp(0, -of_data)) + q @ np.logaddexp(0, of_states)
        slope_data, slope_states = -expit(-of_data) / len(on_data), q * expit(of_states)
        slopes = [slope_data @ on_data + slope_states @ on_states, slope_data.sum() + slope_states.sum()]
        return float(value), np.array(slopes)

    return minimize(loss, np.zeros(2), jac=True, bounds=[(-30, 30)] * 2).fun


def _normalised(log_q: np.ndarray) -> tuple[np.ndarray, float]:
    largest = log_q.max()
    q = np.exp(log_q - largest)
    return q / q.sum(), largest + np.log(q.sum())


@partial(jax.jit, static_argnums=0)
def _states(units: int) -> Array:
    """Returns all states of some units, `[2^units, units]`."""
    return (jnp.arange(2**units)[:, None] >> jnp.arange(units)[::-1] & 1).astype(jnp.float32)
