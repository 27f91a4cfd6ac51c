"""Models that unfold a step at a time.

    p(x, z) = prod_t p(z_t | z_<t, x_<t) p(x_t | z_<=t, x_<t),          q(z | x) = prod_t q(z_t | z_<t, x)

Data are `[batch, time, ...]` with lengths, as in a `Batch`. Estimators, `start` and `step` have time first.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_count, check_floating, check_steps
from genjax_models.estimators.filtering import Step, check_evidence, filtering_bound, without_padding
from genjax_models.models.families import Family
from genjax_models.types import Array, Batch, PRNGKey, Shape, Tracer, Variables

State = Any  # a pytree of arrays


class SequentialModel(NamedTuple):
    """Pure functions of the model's variables.

    Attributes:
      init: (key, batch) -> variables.
      start: (variables, x `[time, batch, ...]`, mask `[time, batch]`) -> the state before the first step, leaves
        `[batch, ...]`, and the context, leaves `[time, batch, ...]` or None. The padding of x is zeros: `time_first`.
      step: (variables, state with leaves `[k, batch, ...]`, context of the step) -> `estimators.filtering.Step`.
      sample: (variables, key, n, *, length=steps) -> draws x `[n, length, ...]` from p(x). The length is one integer,
        or int32 `[n]`; draws are zero after their lengths. Lengths that jax traces are padded to `steps`.
      forecast: (variables, key, x `[n, time, ...]`, length `[n]`, *, steps, num_particles=64) -> continuations
        `[n, steps, ...]` of x: particles are filtered on x, and one is chosen by weight. Raises ValueError on the host
        if x cannot be data of the model, or if no particle explains a step.
      steps: number of steps that `sample` draws if no length is given.
      support: lowest and highest value of x under the likelihood; None if unbounded.
      shape: shape of one step of x.
      binary: whether x is 0 or 1 under the likelihood.
    """

    init: Callable[[PRNGKey, Batch], Variables]
    start: Callable[[Variables, Array, Array], tuple[State, Any]]
    step: Callable[[Variables, State, Any], Step]
    sample: Callable[..., Array]
    forecast: Callable[..., Array]
    steps: int
    support: tuple[float, float] | None = None
    shape: Shape | None = None
    binary: bool = False


class Generation(NamedTuple):
    """One step of p, where x is drawn and not known; distributions have batch shape `[n]`."""

    prior: distrax.Distribution  # p(z_t | z_<t, x_<t)
    likelihood: Callable[[Array], distrax.Distribution]  # z_t -> p(x_t | z_<=t, x_<t)
    advance: Callable[[Array, Array], State]  # (z_t, x_t) -> the state after the step


def sequential_model(
    *,
    init: Callable[[PRNGKey, Array], Variables],
    start: Callable[[Variables, Array, Array], tuple[State, Any]],
    step: Callable[[Variables, State, Any], Step],
    first: Callable[[Variables, int], State],
    generate: Callable[[Variables, State], Generation],
    likelihood: Family,
    steps: int,
    resume: Callable[[Variables, State, Array, Array], State] = lambda variables, state, x, mask: state,
) -> SequentialModel:
    """Returns a model with `sample` and `forecast` made of its steps.

    Args:
      init: (key, x of one step `[1, *shape]`) -> variables.
      start: as in `SequentialModel`.
      step: as in `SequentialModel`.
      first: (variables, n) -> the state from which p draws n sequences, leaves `[n, ...]`.
      generate: (variables, this state) -> `Generation`.
      likelihood: family of p(x_t | z_<=t, x_<t).
      steps: number of steps that `sample` draws if no length is given.
      resume: (variables, state of q after x, leaves `[n, ...]`, x `[time, n, ...]`, mask) -> the state from which p
        goes on. By default they are the same.

    Raises:
      ValueError: `steps` is no integer of at least 1.
    """
    check_count("steps", steps)
    shape = tuple(likelihood.event_shape)

    def checked_start(variables: Variables, x: Array, mask: Array) -> tuple[State, Any]:
        _check_shape(x, shape)
        return start(variables, x.astype(jnp.float32), mask)  # float64 data would change the type of the state

    def unfold(variables: Variables, key: PRNGKey, state: State, steps: int) -> Array:
        def one(state: State, t: Array) -> tuple[State, Array]:
            latent_key, data_key = jax.random.split(jax.random.fold_in(key, t))
            now = generate(variables, state)
            z = now.prior.sample(seed=latent_key)
            x = now.likelihood(z).sample(seed=data_key)
            return now.advance(z, x), x

        return jax.lax.scan(one, state, jnp.arange(steps))[1]

    def sample(variables: Variables, key: PRNGKey, n: int, *, length: int | Array | None = None) -> Array:
        check_count("n", n)
        time, lengths = _times(steps if length is None else length, n, steps)
        x = unfold(variables, key, first(variables, n), time)
        return jnp.moveaxis(without_padding(x, jnp.arange(time)[:, None] < lengths[None]), 0, 1)

    def forecast(
        variables: Variables, key: PRNGKey, x: Array, length: Array | None, *, steps: int, num_particles: int = 64
    ) -> Array:
        check_count("steps", steps)
        filter_key, choice_key, key = jax.random.split(key, 3)
        check_steps("x", x, length, likelihood.support, binary=likelihood.binary)
        x, mask = time_first(x, length)
        state, context = checked_start(variables, x, mask)
        step_of = lambda state, context: step(variables, state, context)
        terms = filtering_bound(filter_key, x, mask, state, step_of, context, num_particles=num_particles)
        if not isinstance(terms.evidence, Tracer):
            check_evidence(terms.evidence)
        chosen = jax.random.categorical(choice_key, terms.log_weights[-1], axis=0)
        state = jax.tree.map(lambda leaf: leaf[chosen, jnp.arange(len(chosen))], terms.state)
        return jnp.moveaxis(unfold(variables, key, resume(variables, state, x, mask), steps), 0, 1)

    return SequentialModel(
        init=lambda key, batch: init(key, _first_step(batch, shape)),
        start=checked_start,
        step=step,
        sample=sample,
        forecast=forecast,
        steps=steps,
        support=likelihood.support,
        shape=shape,
        binary=likelihood.binary,
    )


def time_first(x: Array, length: Array | None = None) -> tuple[Array, Array]:
    """Returns x `[time, batch, ...]` with zeros at the padding, and the mask `[time, batch]`.

    The padding may hold anything, NaN too.

    Args:
      x: sequences `[batch, time, ...]`, floating point.
      length: true steps of each, integers `[batch]`; None if all steps are true.

    Raises:
      ValueError: x has no time, is not floating point, or the lengths do not fit. Values are checked on the host only.
    """
    check_floating("x", x)
    if jnp.ndim(x) < 2:
        raise ValueError(f"x must be sequences [batch, time, ...], got shape {jnp.shape(x)}")
    batch, time = jnp.shape(x)[:2]
    x = jnp.moveaxis(x, 1, 0)
    if length is None:
        return x, jnp.ones((time, batch), bool)
    _check_lengths(length, batch, time)
    mask = jnp.arange(time)[:, None] < jnp.asarray(length)[None]
    return without_padding(x, mask), mask


def once(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """Returns the function, which computes once for one z: the likelihood and the next state share features of z."""
    last: list[Any] = []

    def call(z: Array) -> Any:
        if not last or last[0] is not z:
            last[:] = z, function(z)
        return last[1]

    return call


def _first_step(batch: Batch, shape: Shape) -> Array:
    _check_shape(batch.x, shape)
    return jnp.zeros((1, *shape), jnp.float32)


def _check_shape(x: Array, shape: Shape) -> None:
    if jnp.shape(x)[2:] != shape or jnp.ndim(x) < 2:
        raise ValueError(f"the model takes sequences of steps of shape {shape}, got an array of shape {jnp.shape(x)}")


def _check_lengths(length: Array, n: int, time: int | None) -> None:
    if not jnp.issubdtype(jnp.result_type(length), jnp.integer) or jnp.shape(length) != (n,):
        raise ValueError(f"length must be {n} integers, got {jnp.result_type(length)} of shape {jnp.shape(length)}")
    if not isinstance(length, Tracer):
        lengths = np.asarray(length)
        wrong = (lengths < 1) | (lengths > (lengths if time is None else time))
        if wrong.any():
            limit = "at least 1" if time is None else f"from 1 to {time}"
            raise ValueError(f"length must be {limit}, got {lengths[wrong][0]} in row {int(np.argmax(wrong))}")


def _times(length: Array, n: int, steps: int) -> tuple[int, Array]:
    """Returns the number of steps to draw, and the length of each of n sequences."""
    if jnp.ndim(length) == 0:
        time = length.item() if isinstance(length, np.generic | np.ndarray | jax.Array) else length
        check_count("length", time)
        return time, jnp.full(n, time)
    if isinstance(length, Tracer):
        _check_lengths(length, n, steps)
        return steps, length
    _check_lengths(length, n, None)
    return int(np.max(length)), jnp.asarray(length)
