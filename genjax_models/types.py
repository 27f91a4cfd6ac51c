"""The shapes that everything shares: an objective is a game between players, a trainer turns it into one pure step."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

Array = jax.Array
PRNGKey = jax.Array
Shape = tuple[int, ...]
Variables = Mapping[str, Any]  # Flax variables: "params", and mutable collections such as "batch_stats"
Players = Mapping[str, Variables]  # player -> its variables
Metrics = Mapping[str, Array]


class Batch(NamedTuple):
    """Examples `x` `[batch, ...]` and, for conditional models, their classes `label` `[batch]`."""

    x: Array
    label: Array | None = None
    length: Array | None = None
    factors: Array | None = None


class Aux(NamedTuple):
    """What a loss reports beside its value.

    `metrics` are scalars, in nats where they are likelihoods; the trainer adds "loss" and maybe "gradient_norm".
    `variables` are the players as the loss left them (batch statistics moved on); their "params" are not read.
    """

    metrics: Metrics = {}  # noqa: RUF012 - a Mapping is never written to
    variables: Players | None = None


Loss = Callable[[Players, PRNGKey, Batch, Array], tuple[Array, Aux]]  # (variables, key, batch, step)


class Objective(NamedTuple):
    """How a model is learned: a game in which each player lowers its own loss by its own "params".

    `init(key, batch)` makes the players; one without a loss is frozen, and saved with the rest.
    `losses` are in the order of update. `sample(variables, key, n, *, label=None)` draws `[n, ...]` from p(x).
    `range` is what its generator's last layer is confined to, where it is, and what data must then be scaled to.
    `adversaries` are the players whose loss judges samples (discriminators, critics).
    """

    init: Callable[[PRNGKey, Batch], Players]
    losses: Mapping[str, Loss]
    sample: Callable[..., Array]
    range: tuple[float, float] | None = None
    adversaries: tuple[str, ...] = ()


class TrainState(NamedTuple):
    """All that a run is: save it, and you can go on as if nothing had happened.

    `step` is an int32 scalar; `average` holds moving averages of whole players, {} where none is kept.
    """

    step: Array
    key: PRNGKey
    variables: Players
    opt_state: Mapping[str, Any]
    average: Players


class Trainer(NamedTuple):
    """`init(key, batch)` and the pure `step(state, batch)`; the caller jits, scans, vmaps or shards it.

    `range` and `adversaries` are the objective's.
    """

    init: Callable[[PRNGKey, Batch], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    range: tuple[float, float] | None = None
    adversaries: tuple[str, ...] = ()
