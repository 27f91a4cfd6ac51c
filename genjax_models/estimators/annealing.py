"""Annealed importance sampling, forward and reverse: bounds on log p(x) that meet as temperatures grow.

A path of unnormalised densities leads from an initial distribution, by default the prior, to the joint p(x, z),

    f_beta(z) = initial(z)^(1 - beta) (p(z) p(x | z))^beta            = p(z) p(x | z)^beta from the prior,

along a schedule 0 = beta_0 < ... < beta_T = 1. With K_t a Markov transition that leaves f_{beta_t} invariant, chains

    z_0 ~ initial,      z_t ~ K_t(. | z_{t-1})           t = 1, ..., T           (forward)
    z_T ~ p(z | x),     z_{t-1} ~ K_t(. | z_t)           t = T, ..., 1           (reverse; K_t is reversible)

have the one log-weight

    log w = sum_t (beta_{t+1} - beta_t) log f_1(z_t) / f_0(z_t),     t = 0, ..., T - 1,

whose expectations are E[w] = p(x) over forward chains and E[1 / w] = 1 / p(x) over reverse ones (Neal, 2001), for any
schedule and any such transitions. By Jensen's inequality log-mean-exp of the forward weights is below log p(x) in
expectation, and minus that of the inverse reverse weights is above: bidirectional Monte Carlo (Grosse, Ghahramani and
Adams, 2015; Wu et al., 2017). Reverse chains start at exact samples of the posterior, which there are for data that the
model itself drew, `z ~ p(z)`, `x ~ p(x | z)`, or where the posterior is known: on real data only the lower bound holds.

Transitions are Hamiltonian (Neal, 2011) and need log-densities with a gradient in z. Gradients are not taken through
the chains: an accepted or rejected proposal has none, and what is returned is constant to `jax.grad`.
"""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from genjax_models.types import Array, PRNGKey, Tracer

LogDensity = Callable[[Array], Array]  # z [chains, batch, d] -> [chains, batch], nats


class AnnealedChains(NamedTuple):
    """Where chains ended, and their weights.

    `log_weights` `[num_chains, batch]`, nats; `z` with leaves `[num_chains, batch, ...]`, at beta = 1 after a forward
    run and at beta_1 after a reverse one; `acceptance` `[batch]`, the mean probability, over chains
    and transitions, that a proposal is accepted.
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
    """Forward chains, whose weights are unbiased for p(x): `lower_bound` of them is one on log p(x).

    Args:
      key: randomness of the chains.
      x: data, `[batch, ...]`.
      prior: p(z), with batch shape `()` or `[batch]`; z may be any pytree of floats.
      likelihood: z with leaves `[num_chains, batch, ...]` -> p(x | z), example by example.
      num_chains: independent chains for each example, at least 1.
      schedule: beta_0, ..., beta_T, from 0 to 1, known before compute; see `linear_schedule`, `sigmoidal_schedule`.
      step_size: of the leapfrog integrator: a number, `[batch]`, or `[T, batch]` with one for each transition; what
        `adapt_step_size` returns. It must not depend on the chains that it moves.
      num_leapfrog: leapfrog steps in a transition, at least 1.
      initial: where the path starts if not at the prior, for example q(z | x), with batch shape `()` or `[batch]`.

    Returns:
      `AnnealedChains`; E[exp(log_weights)] = p(x). An integration that diverges is a rejected proposal.

    Raises:
      AssertionError: while tracing, log-probabilities that are not `[num_chains, batch]`.
      ValueError: a schedule that does not increase strictly from 0 to 1, a count that is no integer of at least 1, a
        step size that is not positive and finite or of another shape, a distribution of another batch shape, or z
        that is not of floats.
    """
    _check_count("num_chains", num_chains)
    _check_count("num_leapfrog", num_leapfrog)
    initial_key, chain_key = jax.random.split(key)
    steps = _steps(chain_key, schedule, step_size, x.shape[0])
    path, z = _start(initial_key, x, prior, likelihood, initial, num_chains)

    def anneal(chain, step):
        z, log_weights = chain
        log_weights = log_weights + step.increment * path.log_ratio(z)
        z, acceptance = _hamiltonian_transition(step.key, z, path.at(step.beta), step.step_size, num_leapfrog)
        return jax.lax.stop_gradient(((z, log_weights), jnp.mean(acceptance, axis=0)))

    chain = z, jnp.zeros_like(path.log_ratio(z))
    (z, log_weights), acceptance = jax.lax.scan(anneal, chain, steps)
    return AnnealedChains(log_weights, path.unflatten(z), jnp.mean(acceptance, axis=0))


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
    """Reverse chains from exact posterior samples: `upper_bound` of their weights is one on log p(x).

    Args:
      z: exact samples of p(z | x), leaves `[num_chains, batch, ...]`: where x was drawn from the model, the z that it
        was drawn with. The bound holds too where all chains of an example start at one such sample.
      key, x, prior, likelihood, schedule, step_size, num_leapfrog, initial: as in `annealed_importance_sampling`. The
        schedule is the forward one, 0 to 1, and is walked from its end; step `[t]` of `step_size` moves between the
        same two temperatures in both directions.

    Returns:
      `AnnealedChains`; E[exp(-log_weights)] = 1 / p(x).

    Raises:
      AssertionError, ValueError: as in `annealed_importance_sampling`.
    """
    _check_count("num_leapfrog", num_leapfrog)
    steps = _steps(key, schedule, step_size, x.shape[0])
    path, z = _path(x, z, prior, likelihood, initial)

    def anneal(chain, step):
        z, log_weights = chain
        z, acceptance = _hamiltonian_transition(step.key, z, path.at(step.beta), step.step_size, num_leapfrog)
        log_weights = log_weights + step.increment * path.log_ratio(z)
        return jax.lax.stop_gradient(((z, log_weights), jnp.mean(acceptance, axis=0)))

    chain = z, jnp.zeros_like(path.log_ratio(z))
    (z, log_weights), acceptance = jax.lax.scan(anneal, chain, steps, reverse=True)
    return AnnealedChains(log_weights, path.unflatten(z), jnp.mean(acceptance, axis=0))


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
    """A pilot run that finds a step size for every transition and example, to be frozen in both directions.

    Chains go forward once. At each temperature they move `num_updates` times, and the step size of each example follows

        log step_size += (acceptance - target_acceptance) / sqrt(k),      k = 1, ..., num_updates

    (Robbins and Monro, 1951), from the one that the last temperature ended with; `acceptance` is the mean over chains.

    Args:
      key: randomness of the pilot: another key than that of any chain which will use the step sizes, since a step size
        that depends on the chain that it moves biases the weights.
      x, prior, likelihood, schedule, num_leapfrog, initial: as in `annealed_importance_sampling`.
      num_chains: pilot chains, at least 1; a dozen will do.
      target_acceptance: within (0, 1); 0.65 is near the best for Hamiltonian transitions (Neal, 2011).
      first_step_size: what the first temperature begins with.
      num_updates: at each temperature, at least 1. Many for a schedule of a few temperatures; for one of thousands,
        where neighbours hardly differ, 1 will do. The pilot costs `num_updates` runs of `num_chains`.

    Returns:
      `[T, batch]`, positive: row t is of the transition at beta_{t+1}.

    Raises:
      AssertionError, ValueError: as in `annealed_importance_sampling`; `target_acceptance` outside (0, 1), or
        `first_step_size` not positive and finite.
    """
    for name, count in (("num_chains", num_chains), ("num_leapfrog", num_leapfrog), ("num_updates", num_updates)):
        _check_count(name, count)
    if not 0 < target_acceptance < 1:
        raise ValueError(f"target_acceptance must be within (0, 1), got {target_acceptance!r}")
    if not 0 < first_step_size < np.inf:
        raise ValueError(f"first_step_size must be positive and finite, got {first_step_size!r}")
    initial_key, chain_key = jax.random.split(key)
    steps = _steps(chain_key, schedule, first_step_size, x.shape[0])
    path, z = _start(initial_key, x, prior, likelihood, initial, num_chains)

    def adapt(chain, step):
        def update(chain, k_and_key):
            (z, log_step_size), (k, key) = chain, k_and_key
            z, acceptance = _hamiltonian_transition(key, z, path.at(step.beta), jnp.exp(log_step_size), num_leapfrog)
            log_step_size += (jnp.mean(acceptance, axis=0) - target_acceptance) / jnp.sqrt(k)
            return jax.lax.stop_gradient((z, log_step_size)), None

        updates = jnp.arange(1, num_updates + 1), jax.random.split(step.key, num_updates)
        chain, _ = jax.lax.scan(update, chain, updates)
        return chain, jnp.exp(chain[1])

    _, step_sizes = jax.lax.scan(adapt, (z, jnp.log(steps.step_size[0])), steps)
    return step_sizes


def lower_bound(log_weights: Array) -> Array:
    """log 1/n sum_i w_i of forward chains: at most log p(x) in expectation.

    `log_weights` `[num_chains, batch]` -> `[batch]`, nats.
    """
    chex.assert_rank(log_weights, 2)
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


def upper_bound(log_weights: Array) -> Array:
    """-log 1/n sum_i 1/w_i of reverse chains: at least log p(x) in expectation; of forward chains it is no bound.

    `log_weights` `[num_chains, batch]` -> `[batch]`, nats.
    """
    return -lower_bound(-log_weights)


def linear_schedule(num_temperatures: int) -> np.ndarray:
    """0, 1/T, ..., 1 with T = num_temperatures - 1. `[num_temperatures]`, at least 2 or a ValueError."""
    _check_count("num_temperatures", num_temperatures, least=2)
    return np.linspace(0.0, 1.0, num_temperatures)


def sigmoidal_schedule(num_temperatures: int, *, steepness: float = 4.0) -> np.ndarray:
    """Temperatures that are closer together near 0 and 1, where the path changes fastest.

    sigmoid(steepness (2 t / T - 1)), t = 0, ..., T, shifted and scaled so that it runs from 0 to 1 (Grosse et al.,
    2015; Wu et al., 2017); here by sigmoid(2 u) = (1 + tanh u) / 2.

    Args:
      num_temperatures: T + 1, at least 2.
      steepness: positive and finite; near 0 the schedule is linear.

    Returns:
      `[num_temperatures]`.

    Raises:
      ValueError: another `num_temperatures` or `steepness`, or one so steep that temperatures coincide.
    """
    _check_count("num_temperatures", num_temperatures, least=2)
    if not 0 < steepness < np.inf:
        raise ValueError(f"steepness must be positive and finite, got {steepness!r}")
    u = np.linspace(-steepness / 2, steepness / 2, num_temperatures)
    return _check_schedule((1 + np.tanh(u) / np.tanh(steepness / 2)) / 2)


class _Step(NamedTuple):
    """The move from beta - increment to beta; as the input of a scan, with a leading axis of T."""

    key: PRNGKey
    beta: Array
    increment: Array
    step_size: Array  # [batch]


class _Path(NamedTuple):
    """log f_beta(z) = log_initial(z) + beta log_ratio(z), of z flattened to `[chains, batch, d]`."""

    log_initial: LogDensity
    log_ratio: LogDensity
    unflatten: Callable[[Array], Any]

    def at(self, beta: Array) -> LogDensity:
        return lambda z: self.log_initial(z) + beta * self.log_ratio(z)


def _steps(key: PRNGKey, schedule: Array, step_size: Array, batch: int) -> _Step:
    beta = _check_schedule(schedule)
    transitions = len(beta) - 1
    _check_step_size(step_size, shapes=((), (batch,), (transitions, batch)))
    return _Step(
        key=jax.random.split(key, transitions),
        beta=jnp.asarray(beta[1:]),
        increment=jnp.asarray(np.diff(beta)),  # differences before rounding to float32: they sum to 1
        step_size=jnp.broadcast_to(jnp.asarray(step_size, float), (transitions, batch)),
    )


def _start(
    key: PRNGKey,
    x: Array,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    initial: distrax.Distribution | None,
    num_chains: int,
) -> tuple[_Path, Array]:
    """The path, and samples of the distribution that it starts at, flattened."""
    first, batch = prior if initial is None else initial, x.shape[0]
    batch_shape = jax.eval_shape(lambda: first.log_prob(first.sample(seed=key))).shape
    if batch_shape not in ((), (batch,)):
        raise ValueError(f"the path must start at a distribution of batch shape () or ({batch},), got {batch_shape}")
    z = first.sample(seed=key, sample_shape=(num_chains, batch)[: 2 - len(batch_shape)])
    return _path(x, z, prior, likelihood, initial)


def _path(
    x: Array,
    z: Any,
    prior: distrax.Distribution,
    likelihood: Callable[[Any], distrax.Distribution],
    initial: distrax.Distribution | None,
) -> tuple[_Path, Array]:
    """The path over flattened z, and `z` flattened."""
    z = jax.tree.map(jnp.asarray, z)
    leaves = jax.tree.leaves(z)
    shape = leaves[0].shape[:2]
    if len(shape) != 2 or 0 in shape or any(leaf.shape[:2] != shape for leaf in leaves):
        raise ValueError(f"leaves of z must be [num_chains, batch, ...], got {[leaf.shape for leaf in leaves]}")
    if not all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves):
        raise ValueError(f"z must be of floats, got {[str(leaf.dtype) for leaf in leaves]}")
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
    return _Path(over_flat(log_initial), over_flat(log_ratio), unflatten), jax.lax.stop_gradient(flat)


def _hamiltonian_transition(
    key: PRNGKey, z: Array, log_density: LogDensity, step_size: Array, num_leapfrog: int
) -> tuple[Array, Array]:
    """One Metropolis-corrected Hamiltonian move of each chain and example, from a fresh momentum (Neal, 2011).

    Reversible with respect to exp(log_density). z `[chains, batch, d]`, `step_size` `[batch]` -> z and the probability
    `[chains, batch]` with which its proposal was accepted.
    """
    momentum_key, accept_key = jax.random.split(key)
    momentum = jax.random.normal(momentum_key, z.shape, z.dtype)
    step_size = step_size[:, None]

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
    acceptance = jnp.nan_to_num(jnp.exp(jnp.minimum(log_ratio, 0)), nan=0.0)  # one that diverged is rejected
    accepted = jax.random.uniform(accept_key, acceptance.shape) < acceptance
    return jnp.where(accepted[..., None], proposal, z), acceptance


def _check_count(name: str, value: int, *, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")


def _numbers(name: str, values: Array) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be of numbers that are known before compute, got {values!r}") from None


def _check_schedule(schedule: Array) -> np.ndarray:
    beta = _numbers("schedule", schedule)
    if beta.ndim != 1 or beta.size < 2:
        raise ValueError(f"schedule must be of at least 2 temperatures, [T + 1], got the shape {beta.shape}")
    if not np.isfinite(beta).all():
        raise ValueError(f"schedule must be finite, got {beta[~np.isfinite(beta)][0]}")
    if beta[0] != 0 or beta[-1] != 1:
        raise ValueError(f"schedule must start at 0 and end at 1, got {beta[0]} and {beta[-1]}")
    if (np.diff(beta) <= 0).any():
        t = int(np.argmax(np.diff(beta) <= 0))
        raise ValueError(f"schedule must increase strictly, got {beta[t]} and then {beta[t + 1]}")
    return beta


def _check_step_size(step_size: Array, *, shapes: tuple) -> None:
    known = not isinstance(step_size, Tracer)  # what is traced has a shape, and no values yet
    values = _numbers("step_size", step_size) if known else step_size
    if values.shape not in shapes:
        raise ValueError(f"step_size must be of one of the shapes {shapes}, got {values.shape}")
    if known and not (np.isfinite(values) & (values > 0)).all():
        wrong = values[~(np.isfinite(values) & (values > 0))]
        raise ValueError(f"step_size must be positive and finite, got {wrong[0]}")
