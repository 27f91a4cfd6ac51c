"""The shapes that every room shares: an objective is a game between players; a trainer turns it into one pure step."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
from jax.core import Tracer as Tracer  # a value while jax traces

if TYPE_CHECKING:
    # An array of jax, or of numpy on the host. The unions of distrax and chex hold numpy scalars, without members.
    Array = Any
else:
    Array = jax.Array
PRNGKey = jax.Array
Shape = tuple[int, ...]
Variables = Mapping[str, Any]  # Flax variables: "params", and mutable collections such as "batch_stats"
Players = Mapping[str, Variables]  # player -> its variables
Metrics = Mapping[str, Array]


class Batch(NamedTuple):
    """A batch of examples, with their labels, lengths and factors if known.

    Read fields by name and change them by `batch._replace(x=...)`, so that every other field travels with them.

    Attributes:
      x: examples `[batch, ...]`; sequences `[batch, time, ...]`.
      label: classes, int32 `[batch]`, or None.
      length: true number of steps of each sequence, int32 `[batch]`, or None.
      factors: known factors of variation, float32 `[batch, f]`, or None.
    """

    x: Array
    label: Array | None = None
    length: Array | None = None
    factors: Array | None = None


class Aux(NamedTuple):
    """The second output of a loss: its metrics, and the players as it moved them.

    Attributes:
      metrics: scalars, in nats if they are likelihoods. The trainer adds "loss" and, on demand, "gradient_norm".
      variables: the players after the loss, with moved batch statistics or chains; their "params" are not read. None
        if nothing moved.
    """

    metrics: Metrics = {}  # noqa: RUF012 - a Mapping is never written to
    variables: Players | None = None


Loss = Callable[[Players, PRNGKey, Batch, Array], tuple[Array, Aux]]  # (variables, key, batch, step)


class Objective(NamedTuple):
    """A game: each player lowers its own loss by its own "params".

    A player may hold state with or without "params", in a collection of its own (Markov chains, say). The
    `Aux.variables` of a loss move this state. Discrete state is int8 or int32, so that no average blurs it.

    Attributes:
      init: (key, batch) -> the players. A player without a loss is frozen, and saved with the rest.
      losses: player -> its loss, in the order of update.
      sample: (variables, key, n, *, label=None) -> n draws from p(x), `[n, ...]`.
      range: lowest and highest value of the generator's last layer or of the likelihood, to which data must be scaled;
        None if unbounded.
      adversaries: names of the players in `losses` that tell data from samples (discriminators, critics). Empty for a
        game without them.
    """

    init: Callable[[PRNGKey, Batch], Players]
    losses: Mapping[str, Loss]
    sample: Callable[..., Array]
    range: tuple[float, float] | None = None
    adversaries: tuple[str, ...] = ()


class TrainState(NamedTuple):
    """The whole state of a run: a run that is resumed from it goes on as if it had never stopped.

    Attributes:
      step: number of steps made, an int32 scalar.
      key: randomness of all later steps.
      variables: the players.
      opt_state: player -> the state of its optimizer.
      average: moving averages of whole players; {} if none is kept.
    """

    step: Array
    key: PRNGKey
    variables: Players
    opt_state: Mapping[str, Any]
    average: Players


class Trainer(NamedTuple):
    """`init(key, batch)` and the pure `step(state, batch)`; the caller jits, scans, vmaps or shards them.

    `range` and `adversaries` are the objective's. `begin(key, players)` is the state of step 0 with these players, and
    with optimizers and averages that begin at them; None if the trainer cannot begin with given players.
    """

    init: Callable[[PRNGKey, Batch], TrainState]
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    range: tuple[float, float] | None = None
    adversaries: tuple[str, ...] = ()
    begin: Callable[[PRNGKey, Players], TrainState] | None = None
