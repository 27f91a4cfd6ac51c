"""Our particle filter and TFP's `particle_filter`, on one sequence of a linear-Gaussian model with exact evidence.

z_1 ~ N(0, P0), z_t ~ N(a z_{t-1}, Q), x_t ~ N(c z_t, R). Both sides propose from p(z_t | z_{t-1}), and resample
systematically at an effective sample size below half of the particles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from experiments.benchmarks.sides import Run

if TYPE_CHECKING:
    from genjax_models.types import Array, PRNGKey

A, C, Q, R, P0 = 0.9, 1.2, 0.3, 0.5, 1.0
PARTICLES, STEPS = 1_000, 100
_REPEATS = 200  # estimates of the evidence in the check
_STANDARD_ERRORS = 5

Estimate = Callable[["PRNGKey"], "Array"]  # key -> log p^(x)


def observations(steps: int = STEPS) -> np.ndarray:
    """Returns one draw of x `[steps]`."""
    random = np.random.RandomState(0)
    z, x = random.normal(0, math.sqrt(P0)), []
    for _ in range(steps):
        x.append(random.normal(C * z, math.sqrt(R)))
        z = random.normal(A * z, math.sqrt(Q))
    return np.array(x, np.float32)


def exact(x: np.ndarray) -> float:
    """Returns log p(x) by the Kalman filter."""
    mean, variance, total = 0.0, P0, 0.0
    for value in np.float64(x):
        spread, error = C * variance * C + R, value - C * mean
        total -= 0.5 * (math.log(2 * math.pi * spread) + error**2 / spread)
        gain = variance * C / spread
        mean, variance = A * (mean + gain * error), A * (1 - gain * C) * variance * A + Q
    return total


def ours(x: np.ndarray, particles: int = PARTICLES) -> Estimate:
    """Returns our estimate of log p(x)."""
    import jax.numpy as jnp

    from genjax_models.estimators.distributions import diagonal_normal
    from genjax_models.estimators.filtering import Step, filtering_bound

    def step(state, _):
        mean, variance = state
        prior = diagonal_normal(mean, jnp.sqrt(variance))
        likelihood = lambda z: diagonal_normal(C * z, jnp.full_like(z, math.sqrt(R)))
        return Step(prior, prior, likelihood, lambda z: (A * z, jnp.full_like(z, Q)))

    def estimate(key):
        start = jnp.zeros((1, 1)), jnp.full((1, 1), P0)
        mask, options = jnp.ones((len(x), 1), bool), {"num_particles": particles, "resampling": "systematic"}
        return filtering_bound(key, x[:, None, None], mask, start, step, **options).bound[0]

    return estimate


def theirs(x: np.ndarray, particles: int = PARTICLES) -> Estimate:
    """Returns TFP's estimate of log p(x)."""
    import jax.numpy as jnp
    from tensorflow_probability.substrates import jax as tfp

    normal = lambda mean, variance: tfp.distributions.Normal(mean, math.sqrt(variance))

    def estimate(key):
        *_, increments = tfp.experimental.mcmc.particle_filter(
            jnp.asarray(x),
            normal(jnp.float32(0), P0),
            lambda _, z: normal(A * z, Q),
            lambda _, z: normal(C * z, R),
            particles,
            unbiased_gradients=False,
            seed=key,
        )
        return jnp.sum(increments)

    return estimate


def agrees(estimate: Estimate, x: np.ndarray) -> tuple[float, float]:
    """Checks E[p^] = p(x) within 5 standard errors.

    Returns:
      Mean of p^ / p(x), and its standard error.

    Raises:
      AssertionError: it is not 1.
    """
    import jax

    logs = np.float64(jax.jit(lambda keys: jax.lax.map(estimate, keys))(jax.random.split(jax.random.key(0), _REPEATS)))
    ratios = np.exp(logs - exact(x))
    mean, error = float(ratios.mean()), float(ratios.std(ddof=1) / math.sqrt(_REPEATS))
    if not abs(mean - 1) < _STANDARD_ERRORS * error:
        raise AssertionError(f"the mean of p^ / p(x) must be 1, got {mean:.3f} +- {error:.3f}")
    return mean, error


def run_of(estimate: Estimate) -> Run:
    """Returns a function that computes n estimates, each with another key."""
    import jax

    compiled, root, count = jax.jit(lambda key, i: estimate(jax.random.fold_in(key, i))), jax.random.key(0), 0

    def run(n: int) -> None:
        nonlocal count
        for _ in range(n):
            result = compiled(root, np.int32(count))
            count += 1
        jax.block_until_ready(result)

    return run
