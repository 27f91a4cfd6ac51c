"""Methods that fill in missing pixels, with one signature: E[x | observed x], for x in {0, 1} its probabilities.

A `Conditional` is (variables, key, x, observed) -> expected values `[batch, *shape]`, equal to x where `observed` (bool
`[batch, *shape]`) is true. It never reads x where `observed` is false.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.nn import sigmoid

from genjax_models.estimators.checks import check_count
from genjax_models.estimators.distributions import log_prob_of_each
from genjax_models.models.boltzmann import BoltzmannMachine
from genjax_models.models.latent_variable import LatentVariableModel
from genjax_models.models.mean_field import start_of
from genjax_models.types import Array, PRNGKey, Variables

Conditional = Callable[[Variables, PRNGKey, Array, Array], Array]


def mean_field(machine: BoltzmannMachine, *, sweeps: int = 5) -> Conditional:
    """Returns the means of mean field, a deterministic answer: the key is not read.

    Give the sweeps of training, which are 5 by default: a machine can predict worse with more.

    Raises:
      ValueError: `sweeps` is no integer of at least 1.
    """
    check_count("sweeps", sweeps)
    return partial(machine.conditional, sweeps=sweeps)


def clamped_gibbs(machine: BoltzmannMachine, *, sweeps: int = 100, burn_in: int = 50) -> Conditional:
    """Returns the mean of p(v | h) over Gibbs sweeps that keep the observed pixels: exact for many sweeps.

    Args:
      machine: a machine of one or two hidden layers.
      sweeps: number of sweeps that are averaged.
      burn_in: number of sweeps before them.

    Raises:
      ValueError: `sweeps` is no integer of at least 1, or `burn_in` of at least 0.
    """
    check_count("sweeps", sweeps)
    check_count("burn_in", burn_in, at_least=0)

    def conditional(variables: Variables, key: PRNGKey, x: Array, observed: Array) -> Array:
        seen = machine.evidence(x, observed)

        def move(i, carry):
            field, total = carry
            field = machine.gibbs_sweep(variables, jax.random.fold_in(key, i), field, seen)
            return field, total + jnp.where(i >= burn_in, sigmoid(field.v_logits), 0)

        start = start_of(variables["params"], seen)
        total = jax.lax.fori_loop(0, burn_in + sweeps, move, (start, jnp.zeros_like(seen.v)))[1]
        return jnp.where(observed, x, (total / sweeps).reshape(x.shape))

    return conditional


def pseudo_gibbs(
    model: LatentVariableModel, *, sweeps: int = 100, burn_in: int = 50, fill: float | Array = 0.0
) -> Conditional:
    """Returns the mean of E[x | z] over sweeps of z from q(z | x), then missing values from p(x | z).

    Rezende, Mohamed and Wierstra, 2014. It is exact for many sweeps if q(z | x) is p(z | x), and for no other q.

    Args:
      model: a model; one with classes as `model.given(label)`.
      sweeps: number of sweeps that are averaged.
      burn_in: number of sweeps before them.
      fill: missing values at the start: a number, or an array `shape`.

    Raises:
      ValueError: `sweeps` is no integer of at least 1, or `burn_in` of at least 0.
    """
    check_count("sweeps", sweeps)
    check_count("burn_in", burn_in, at_least=0)

    def conditional(variables: Variables, key: PRNGKey, x: Array, observed: Array) -> Array:
        def move(i, carry):
            filled, total = carry
            latent_key, data_key = jax.random.split(jax.random.fold_in(key, i))
            z = model.posterior(variables, filled).sample(seed=latent_key)
            likelihood = model.likelihood(variables, z)
            filled = jnp.where(observed, x, likelihood.sample(seed=data_key))
            return filled, total + jnp.where(i >= burn_in, likelihood.mean(), 0)

        start = _filled(x, observed, fill), jnp.zeros_like(x)
        total = jax.lax.fori_loop(0, burn_in + sweeps, move, start)[1]
        return jnp.where(observed, x, total / sweeps)

    return conditional


def importance_sampling(
    model: LatentVariableModel, *, num_samples: int = 100, fill: float | Array = 0.0
) -> Conditional:
    """Returns the first output of `importance_estimate`.

    Raises:
      ValueError: `num_samples` is no integer of at least 1.
    """
    check_count("num_samples", num_samples)
    options = {"num_samples": num_samples, "fill": fill}
    return lambda *inputs: importance_estimate(model, *inputs, **options)[0]


def importance_estimate(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    observed: Array,
    *,
    num_samples: int = 100,
    fill: float | Array = 0.0,
) -> tuple[Array, Array]:
    """Returns the weighted mean of E[x | z] over draws of q, and the effective sample size, `[batch]`.

    A draw z of q(z | x with its missing values filled in) has the weight p(z) p(observed x | z) / q(z): Mattei and
    Frellsen, 2018. It is exact for many samples. With one sample it is the answer of the encoder. An effective sample
    size near 1 says that one draw has all the weight. Memory holds one draw at a time.

    Args:
      model: a model whose likelihood is over independent numbers; one with classes as `model.given(label)`.
      variables: variables of the model.
      key: randomness of the draws.
      x: examples, `[batch, *shape]`.
      observed: where x is seen, bool `[batch, *shape]`.
      num_samples: draws per example.
      fill: values that the encoder sees where x is missing: a number, or an array `shape`.

    Raises:
      ValueError: `num_samples` is no integer of at least 1; the numbers of the likelihood are not independent.
    """
    check_count("num_samples", num_samples)
    filled = _filled(x, observed, fill)
    posterior, prior = model.posterior(variables, filled), model.prior(variables)

    def add(i, carry):
        log_total, squares, mean = carry
        z, log_q = posterior.sample_and_log_prob(seed=jax.random.fold_in(key, i))
        likelihood = model.likelihood(variables, z)
        each = jnp.where(observed, log_prob_of_each(likelihood, filled), 0)
        log_w = jnp.sum(each.reshape(len(x), -1), axis=1) + (prior.log_prob(z) - log_q)
        log_total = jnp.logaddexp(log_total, log_w)
        share = jnp.exp(log_w - log_total)
        step = share.reshape(-1, *[1] * (x.ndim - 1)) * (likelihood.mean() - mean)
        return log_total, squares * (1 - share) ** 2 + share**2, mean + step

    none = jnp.full(len(x), -jnp.inf, x.dtype)
    start = none, jnp.zeros(len(x), x.dtype), jnp.zeros_like(x)
    _, squares, mean = jax.lax.fori_loop(0, num_samples, add, start)  # squares: sum w^2 / (sum w)^2
    return jnp.where(observed, x, mean), 1 / squares


def mean_pixel(data_mean: Array) -> Conditional:
    """Returns the mean of the data `shape` for missing pixels: the baseline of every other conditional."""

    def conditional(variables: Variables, key: PRNGKey, x: Array, observed: Array) -> Array:
        return _filled(x, observed, data_mean)

    return conditional


def _filled(x: Array, observed: Array, fill: float | Array) -> Array:
    if observed.dtype != bool or observed.shape != x.shape:
        raise ValueError(
            f"observed must be bool of the shape {x.shape}, got {observed.dtype} of the shape {observed.shape}"
        )
    return jnp.where(observed, x, jnp.broadcast_to(jnp.asarray(fill, x.dtype), x.shape))
