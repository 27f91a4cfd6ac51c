"""The two ways of several members: together in one program (`training.vmapped`), or in turn (`training.in_turn`).

In turn, the next member begins after each chunk of steps, so all members are at one step whenever a run is saved. The
two ways round differently. A run that resumes must keep its way.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError
from genjax_models.runs import memory, processes, starting
from genjax_models.runs.configuration import Training
from genjax_models.runs.evaluation import block_until_ready
from genjax_models.runs.feed import Feed, feed_of
from genjax_models.runs.logs import Member
from genjax_models.runs.sharing import check_shares, check_streamed
from genjax_models.training import data_parallel, loop_in_turn, vmapped
from genjax_models.training.compiling import quickly_compiled
from genjax_models.types import Batch, PRNGKey, Trainer, TrainState

TrainerOf = Callable[[Mapping[str, Any]], Trainer]

_TIMED = 0.5  # seconds of a timing
_TURNS = 3  # timings of each way
_WORTH = 10  # a run in turn that is shorter than ten measurements is not measured
_GAIN = 1.1  # together must be 10% faster: in turn, a member is its single run bit for bit


class Way(NamedTuple):
    """Whether members make their steps together, and the reason in words."""

    together: bool
    reason: str

    def __str__(self) -> str:
        return f"{'together' if self.together else 'in turn'}: {self.reason}"


class Program(NamedTuple):
    """The feed of a compiled loop, and a function that returns the state in which the members begin or resume."""

    feed: Feed
    start: Callable[[], TrainState]


class Programs:
    """The programs of the members of a run, one for each way."""

    def __init__(
        self, trainer_of: TrainerOf, data: Prepared, training: Training, members: Sequence[Member], mesh: Mesh | None
    ):
        """Checks that members, devices and data fit together.

        Raises:
          InputError: they do not fit together.
        """
        check_shares(len(members), training.batch_size, mesh)
        check_streamed(data.train, len(members))
        self.trainer = trainer_of(members[0].values)
        _check_range(self.trainer, data)
        self._trainer_of, self._data, self._training = trainer_of, data, training
        self._members, self._mesh = members, mesh
        self._values = _stacked([dict(member.values) for member in members])

    def __call__(self, together: bool) -> Program:
        """Returns the program of one way; compiles nothing. An only member has one way, without an axis of members.

        Raises:
          InputError: streamed data cannot be read.
        """
        first, trainer, init, loop = self._members[0], self.trainer, None, None
        if len(self._members) > 1 and together:
            trainer = vmapped(self._trainer_of, self._values)
        elif len(self._members) > 1:
            init = self._init_in_turn
            loop = partial(loop_in_turn, self._trainer_of, self._values)
        elif self._mesh is not None:
            trainer = data_parallel(trainer, self._mesh)
        position = first.start.position if first.start else None
        feed = feed_of(
            trainer, self._data, self._training, seed=first.seed, position=position, mesh=self._mesh, loop=loop
        )
        return Program(feed, partial(self._start, init or quickly_compiled(trainer.init)))

    def _init_in_turn(self, keys: PRNGKey, example: Batch) -> TrainState:
        init = quickly_compiled(lambda values, *inputs: self._trainer_of(values).init(*inputs))
        return _stacked([init(member.values, key, example) for member, key in zip(self._members, keys, strict=True)])

    def _begun(self) -> TrainState:
        """Returns the state in which members begin with arrays of another run, on the first device."""
        of_one = lambda values, *inputs: starting.begun(self._trainer_of(values), *inputs)
        begin = quickly_compiled(of_one)
        return _stacked([begin(m.values, jax.random.key(m.seed), self._data.example, m.arrays) for m in self._members])

    def _start(self, init: Callable) -> TrainState:
        starts = [member.start.state for member in self._members if member.start]
        if starts:
            state = _stacked([jax.tree.map(jnp.copy, start) for start in starts])
        elif self._members[0].arrays:
            state = self._begun()
        else:
            state = init(_stacked([jax.random.key(member.seed) for member in self._members]), self._data.example)
        if self._mesh is not None:
            axes = PartitionSpec(*self._mesh.axis_names[: state.step.ndim])
            state = processes.spread(state, NamedSharding(self._mesh, axes))
        return block_until_ready(state)


def faster(programs: Programs, steps: int) -> tuple[Way, Program]:
    """Times a few steps of both ways; returns the faster way and its program, whose loop is compiled.

    In turn is kept if the run is too short to be worth a measurement, if together is not 10% faster, and if members do
    not fit into memory together.

    Args:
      programs: programs of several members.
      steps: number of steps that the run has to make.
    """
    in_turn = programs(together=False)
    started = time.monotonic()
    state = in_turn.start()
    in_turn.feed.place(state)
    _seconds_per_step(in_turn.feed, state, 0)
    compiling = time.monotonic() - started
    count, alternating = _calibrated(in_turn.feed, state)
    if steps * alternating < _WORTH * (compiling + 2 * _TURNS * _TIMED):
        reason = f"the steps take about {steps * alternating:.2g} s, too short to measure whether together is faster"
        return Way(False, reason), in_turn
    try:
        with memory.with_advice(""):
            together = programs(together=True)
            together.feed.place(state)
            _seconds_per_step(together.feed, state, 0)
            counts = {in_turn.feed: count, together.feed: _calibrated(together.feed, state)[0]}
            times = [[_seconds_per_step(feed, state, count) for feed, count in counts.items()] for _ in range(_TURNS)]
    except MemoryError:
        return Way(False, "together they do not fit into memory"), in_turn
    alternating, joint = (sorted(turns)[_TURNS // 2] for turns in zip(*times, strict=True))
    figures = f"a step of all takes {_milliseconds(alternating)} in turn, {_milliseconds(joint)} together"
    return (Way(True, figures), together) if alternating > _GAIN * joint else (Way(False, figures), in_turn)


def _seconds_per_step(feed: Feed, state: TrainState, count: int) -> float:
    """Returns the time of a step of all members, over `count` steps of a copy of the state."""
    state = block_until_ready(jax.tree.map(jnp.copy, state))
    batches, _ = feed(int(state.step[0]))
    started = time.monotonic()
    block_until_ready(feed.run(state, batches, count))
    return (time.monotonic() - started) / max(1, count)


def _calibrated(feed: Feed, state: TrainState) -> tuple[int, float]:
    """Returns a number of steps that takes about `_TIMED` seconds, and the time of a step in that many.

    A call copies the state, which takes as long as several steps: few steps a call would say little of many.
    """
    count, seconds = 1, _seconds_per_step(feed, state, 1)
    while count < feed.pace.longest and count * seconds < _TIMED / 2:
        count = min(2 * count, feed.pace.longest)
        seconds = _seconds_per_step(feed, state, count)
    return count, seconds


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms"


def _check_range(trainer: Trainer, data: Prepared) -> None:
    if trainer.range not in (None, data.range):
        raise InputError(
            f"data must be in the range of the likelihood or of the generator's last layer, {list(trainer.range)}, got"
            f" {list(data.range)}: pass range={tuple(trainer.range)} to `prepare`, or change the model"
        )


def _stacked(trees: Sequence[Any]) -> Any:
    """Returns one tree with a leading axis `[members]`; for an only member its own tree."""
    return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
