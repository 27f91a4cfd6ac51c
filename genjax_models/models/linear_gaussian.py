"""A linear-Gaussian state-space model, in which everything is exact: Kalman, 1960; Rauch, Tung and Striebel, 1965.

    z_1 ~ N(0, s_1^2),    z_t | z_{t-1} ~ N(a z_{t-1}, s_z^2),    x_t | z_t ~ N(c z_t, s_x^2)

Backward messages p(x_t, ..., x_T | z_t) = exp(h_t z_t - j_t z_t^2 / 2) * constant give q = p(z_t | z_{t-1}, x), with
which the weight of every draw is p(x):

    j_t = c^2 / s_x^2 + a^2 j_{t+1} / (1 + s_z^2 j_{t+1}),    h_t = c x_t / s_x^2 + a h_{t+1} / (1 + s_z^2 j_{t+1})
"""

import math
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.estimators.filtering import Step
from genjax_models.models.likelihoods import gaussian
from genjax_models.models.sequential import Generation, SequentialModel, sequential_model, time_first
from genjax_models.types import Array, Variables

Proposal = Literal["smoothing", "filter", "prior"]
State = tuple[Array, Array]  # the last z `[..., 1]`, and whether there is one


def linear_gaussian_model(
    *,
    steps: int,
    transition: float = 0.9,
    emission: float = 1.0,
    transition_scale: float = 1.0,
    emission_scale: float = 1.0,
    first_scale: float = 1.0,
    proposal: Proposal = "filter",
) -> SequentialModel:
    """Returns the model of one number a step, x `[batch, time, 1]`. Its five params start at the given values.

    Args:
      steps: number of steps that `sample` draws if no length is given.
      transition: a.
      emission: c.
      transition_scale: s_z, a standard deviation like all scales.
      emission_scale: s_x.
      first_scale: s_1.
      proposal: q is computed from the params, and has none of its own. "smoothing" is p(z_t | z_{t-1}, x), "filter" is
        p(z_t | z_{t-1}, x_t), and "prior" is p(z_t | z_{t-1}).

    Raises:
      ValueError: a scale is not positive and finite, or the proposal is unknown.
    """
    scales = {"transition_scale": transition_scale, "emission_scale": emission_scale, "first_scale": first_scale}
    for name, scale in scales.items():
        if not 0 < scale < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {scale!r}")
    if proposal not in get_args(Proposal):
        raise ValueError(f"proposal must be one of {get_args(Proposal)}, got {proposal!r}")
    values = {"transition": transition, "emission": emission}
    values |= {f"log_{name}": math.log(scale) for name, scale in scales.items()}

    def start(variables: Variables, x: Array, mask: Array) -> tuple[State, Any]:
        a, c, q, r, _ = _numbers(variables)
        batch = x.shape[1:]
        if proposal == "smoothing":

            def message(after: tuple[Array, Array], inputs: tuple[Array, Array]):
                (j, h), (x_t, on) = after, inputs
                shrunk = a / (1 + q * j)
                j_now, h_now = c**2 / r + a * shrunk * j, c * x_t / r + shrunk * h
                now = jnp.where(on[:, None], j_now, j), jnp.where(on[:, None], h_now, h)
                return now, now

            zeros = jnp.zeros(batch, jnp.float32)
            messages = jax.lax.scan(message, (zeros, zeros), (x, mask), reverse=True)[1]
        else:
            seen = 1 if proposal == "filter" else 0
            messages = jnp.full(x.shape, seen * c**2 / r), seen * c * x / r
        return (jnp.zeros(batch, jnp.float32), jnp.zeros(batch, jnp.float32)), messages

    def parts(variables: Variables, state: State):
        """Returns mean and variance of p(z_t | z_{t-1}), and the emission."""
        a, c, q, r, first = _numbers(variables)
        z, later = state
        return a * z, later * q + (1 - later) * first, lambda z: _normal(c * z, r)

    def step(variables: Variables, state: State, context: tuple[Array, Array]) -> Step:
        mean, variance, emission = parts(variables, state)
        j, h = (message[None] for message in context)
        q_variance = variance / (1 + variance * j)
        q_mean = q_variance * (mean / variance + h)
        advance = lambda z: (z, jnp.ones_like(z))
        return Step(_normal(q_mean, q_variance), _normal(mean, variance), emission, advance)

    def generate(variables: Variables, state: State) -> Generation:
        mean, variance, emission = parts(variables, state)
        return Generation(_normal(mean, variance), emission, lambda z, x: (z, jnp.ones_like(z)))

    return sequential_model(
        init=lambda key, x: {"params": {name: jnp.float32(value) for name, value in values.items()}},
        start=start,
        step=step,
        first=lambda variables, n: (jnp.zeros((n, 1), jnp.float32),) * 2,
        generate=generate,
        likelihood=gaussian((1,), "global"),
        steps=steps,
    )


def kalman_log_likelihood(variables: Variables, x: Array, length: Array | None = None) -> Array:
    """Returns log p(x_1..t) of a `linear_gaussian_model`, `[batch, time]` in nats; at the padding, the last value.

    Args:
      variables: of the model.
      x: sequences `[batch, time, 1]`.
      length: true steps of each, integers `[batch]`; None if all steps are true.
    """
    a, c, q, r, first = _numbers(variables)
    x, mask = time_first(x, length)

    def one(carry: tuple[Array, Array, Array], inputs: tuple[Array, Array]):
        (mean, variance, total), (x_t, on) = carry, inputs  # of z_t given x_<t
        spread = c**2 * variance + r
        total = total + jnp.where(on, _normal(c * mean, spread).log_prob(x_t), 0)
        gain = variance * c / spread
        mean, variance = mean + gain * (x_t - c * mean), (1 - gain * c) * variance
        return (a * mean, a**2 * variance + q, total), total

    zeros = jnp.zeros_like(x[0])
    _, totals = jax.lax.scan(one, (zeros, zeros + first, zeros[:, 0]), (x, mask))
    return totals.T


def _numbers(variables: Variables) -> tuple[Array, ...]:
    """Returns a, c, and the variances of transition, emission and z_1."""
    params = variables["params"]
    scales = [params[f"log_{name}_scale"] for name in ("transition", "emission", "first")]
    return (params["transition"], params["emission"], *(jnp.exp(2 * scale) for scale in scales))


def _normal(mean: Array, variance: Array):
    """Returns a normal distribution over vectors `[..., 1]`."""
    return diagonal_normal(mean, jnp.broadcast_to(jnp.sqrt(variance), mean.shape))
