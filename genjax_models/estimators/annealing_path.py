"""The path of annealed importance sampling: its unnormalised densities, temperatures and transitions.

The path leads from an initial distribution, by default the prior, to the joint density p(x, z),

    f_beta(z) = initial(z)^(1 - beta) (p(z) p(x | z))^beta            = p(z) p(x | z)^beta from the prior,

along a schedule 0 = beta_0 < ... < beta_T = 1. Transition t leaves f_{beta_t} invariant.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.hamiltonian import LogDensity
from genjax_models.types import Array, PRNGKey, Tracer


def linear_schedule(num_temperatures: int) -> np.ndarray:
    """Returns the temperatures 0, 1/T, ..., 1 with T = num_temperatures - 1, `[num_temperatures]`.

    Raises:
      ValueError: `num_temperatures` is no integer of at least 2.
    """
    check_count("num_temperatures", num_temperatures, at_least=2)
    return np.linspace(0.0, 1.0, num_temperatures)


def sigmoidal_schedule(num_temperatures: int, *, steepness: float = 4.0) -> np.ndarray:
    """Returns temperatures that are denser near 0 and 1, where the path changes fastest.

    The schedule is sigmoid(steepness (2 t / T - 1)), t = 0, ..., T, shifted and scaled to run from 0 to 1 (Grosse et
    al., 2015; Wu et al., 2017). The code uses sigmoid(2 u) = (1 + tanh u) / 2.

    Args:
      num_temperatures: T + 1, at least 2.
      steepness: positive and finite; near 0 the schedule is linear.

    Returns:
      The temperatures, `[num_temperatures]`.

    Raises:
      ValueError: `num_temperatures` is no integer of at least 2, `steepness` is not positive and finite, or it is so
        large that temperatures coincide.
    """
    check_count("num_temperatures", num_temperatures, at_least=2)
    if not 0 < steepness < np.inf:
        raise ValueError(f"steepness must be positive and finite, got {steepness!r}")
    u = np.linspace(-steepness / 2, steepness / 2, num_temperatures)
    return checked_schedule((1 + np.tanh(u) / np.tanh(steepness / 2)) / 2)


class Transitions(NamedTuple):
    """The T transitions of a path, as inputs of a scan: each field has a leading axis of T.

    Transition t moves from beta - increment to beta. `step_size` is `[T, batch]`.
    """

    key: PRNGKey
    beta: Array
    increment: Array
    step_size: Array


class AnnealingPath(NamedTuple):
    """log f_beta(z) = log_initial(z) + beta log_ratio(z), for z flattened to `[chains, batch, d]`."""

    log_initial: LogDensity
    log_ratio: LogDensity
    unflatten: Callable[[Array], Any]

    @property
    def terms(self) -> tuple[LogDensity, LogDensity]:
        """Returns the two terms of every log-density of the path."""
        return self.log_initial, self.log_ratio

    def at(self, beta: Array) -> Callable[[Array, Array], Array]:
        """Returns the combination of the terms that is the log-density at the temperature `beta`."""
        return lambda initial, ratio: initial + beta * ratio


def make_transitions(key: PRNGKey, schedule: Array, step_size: Array, batch: int) -> Transitions:
    """Returns the transitions between the temperatures of a schedule.

    Args:
      key: randomness of all transitions.
      schedule: beta_0, ..., beta_T, from 0 to 1.
      step_size: a number, `[batch]` or `[T, batch]`.
      batch: number of examples.

    Raises:
      ValueError: the schedule does not increase strictly from 0 to 1, or the step size is not positive and finite or
        has another shape.
    """
    beta = checked_schedule(schedule)
    transitions = len(beta) - 1
    _check_step_size(step_size, shapes=((), (batch,), (transitions, batch)))
    return Transitions(
        key=jax.random.split(key, transitions),
        beta=jnp.asarray(beta[1:]),
        increment=jnp.asarray(np.diff(beta)),  # subtracted before rounding to float32, so that the sum is 1
        step_size=jnp.broadcast_to(jnp.asarray(step_size, float), (transitions, batch)),
    )


def start_path(
    key: PRNGKey,
    x: Array,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    initial: distrax.Distribution | None,
    num_chains: int,
) -> tuple[AnnealingPath, Array]:
    """Returns the path, and flattened samples `[num_chains, batch, d]` of its initial distribution.

    Raises:
      ValueError: the batch shape of the initial distribution is neither () nor (batch,), or as `make_path`.
    """
    start, batch = prior if initial is None else initial, x.shape[0]
    batch_shape = jax.eval_shape(lambda: start.log_prob(start.sample(seed=key))).shape
    if batch_shape not in ((), (batch,)):
        raise ValueError(f"the initial distribution must have the batch shape () or ({batch},), got {batch_shape}")
    z = start.sample(seed=key, sample_shape=(num_chains, batch)[: 2 - len(batch_shape)])
    return make_path(x, z, prior, likelihood, initial)


def make_path(
    x: Array,
    z: Any,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    initial: distrax.Distribution | None,
) -> tuple[AnnealingPath, Array]:
    """Returns the path over flattened z, and `z` flattened to `[num_chains, batch, d]`, constant to gradients.

    Raises:
      ValueError: the leaves of z are not floats `[num_chains, batch, ...]`.
    """
    z = jax.tree.map(jnp.asarray, z)
    leaves = jax.tree.leaves(z)
    shape = leaves[0].shape[:2]
    if len(shape) != 2 or 0 in shape or any(leaf.shape[:2] != shape for leaf in leaves):
        raise ValueError(f"leaves of z must be [num_chains, batch, ...], got {[leaf.shape for leaf in leaves]}")
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        raise ValueError(f"leaves of z must be floats, got {[str(leaf.dtype) for leaf in leaves]}")
    unflatten = jax.vmap(jax.vmap(ravel_pytree(jax.tree.map(lambda leaf: leaf[0, 0], z))[1]))
    flat = jax.vmap(jax.vmap(lambda z: ravel_pytree(z)[0]))(z)

    def over_flat(log_prob):
        def log_density(flat):
            value = log_prob(unflatten(flat))
            chex.assert_shape(value, shape)
            return value

        return log_density

    log_likelihood = lambda z: likelihood(z).log_prob(x)
    if initial is None:
        log_initial, log_ratio = prior.log_prob, log_likelihood
    else:
        log_initial = initial.log_prob
        log_ratio = lambda z: prior.log_prob(z) + log_likelihood(z) - initial.log_prob(z)
    return AnnealingPath(over_flat(log_initial), over_flat(log_ratio), unflatten), jax.lax.stop_gradient(flat)


def _numbers(name: str, values: Array) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers that are known before compilation, got {values!r}") from None


def checked_schedule(schedule: Array) -> np.ndarray:
    """Returns the temperatures `[T + 1]` in float64.

    Raises:
      ValueError: they do not increase strictly from 0 to 1.
    """
    beta = _numbers("schedule", schedule)
    if beta.ndim != 1 or beta.size < 2:
        raise ValueError(f"schedule must be at least 2 temperatures, [T + 1], got the shape {beta.shape}")
    if not np.isfinite(beta).all():
        raise ValueError(f"schedule must be finite, got {beta[~np.isfinite(beta)][0]}")
    if beta[0] != 0 or beta[-1] != 1:
        raise ValueError(f"schedule must start at 0 and end at 1, got {beta[0]} and {beta[-1]}")
    if (np.diff(beta) <= 0).any():
        t = int(np.argmax(np.diff(beta) <= 0))
        raise ValueError(f"schedule must increase strictly, got {beta[t]} and then {beta[t + 1]}")
    return beta


def _check_step_size(step_size: Array, *, shapes: tuple) -> None:
    known = not isinstance(step_size, Tracer)  # a tracer has a shape, but no values yet
    values = _numbers("step_size", step_size) if known else step_size
    if values.shape not in shapes:
        raise ValueError(f"step_size must have one of the shapes {shapes}, got {values.shape}")
    if known and not (np.isfinite(values) & (values > 0)).all():
        wrong = values[~(np.isfinite(values) & (values > 0))]
        raise ValueError(f"step_size must be positive and finite, got {wrong[0]}")
