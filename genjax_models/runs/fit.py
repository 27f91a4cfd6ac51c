"""`fit`: trains, evaluates and shows progress, in scripts and notebooks. It writes nothing to disk."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from tqdm.auto import tqdm

from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, NonFiniteError, StoppedError
from genjax_models.runs import processes
from genjax_models.runs.configuration import Training, seed_in_range
from genjax_models.runs.display import Bar, Lines, display_of
from genjax_models.runs.evaluation import Evaluate, block_until_ready
from genjax_models.runs.failures import non_finite_error
from genjax_models.runs.feed import Feed
from genjax_models.runs.history import Listeners, Log, Progress, Row, has_metrics, summary
from genjax_models.runs.kept_steps import is_kept
from genjax_models.runs.logs import Logs, Member, split_members
from genjax_models.runs.streams import BestEffortStream
from genjax_models.runs.ways import Programs, TrainerOf, Way, faster
from genjax_models.types import Metrics, Trainer, TrainState

_PROFILED_STEPS = 10


class Fit(NamedTuple):
    """The result of `fit`.

    state: after the last step.
    history: rows with "step", "split" and metrics by name, which `pandas.DataFrame` accepts. Rows of split "train" are
      means over the steps since the last row. Rows of split "validation" are means over examples, with the standard
      error of "name" as "name_se"; there are none without `evaluate`.
    seconds: "compiling" (with `ways.faster` and one evaluation), "running" and, for streamed data, "waiting" as a part
      of "running".
    first: the step from which this call resumed.
    """

    state: TrainState
    history: list[Row]
    seconds: dict[str, float]
    first: int = 0


def fit(
    trainer: Trainer,
    data: Prepared,
    training: Training = Training(),  # noqa: B008 - frozen
    *,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    start: Progress | None = None,
    on_metrics: Callable[[Row], None] | None = None,
    on_evaluation: Callable[[Progress, Row], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fit:
    """Trains for `training.steps` steps in compiled chunks of about two seconds.

    Standard error shows a progress bar, or in a log a line per evaluation, and after each evaluation the new symptoms
    of a game (`evaluation.symptoms`). If `jax.distributed` has several processes, all call `fit` with equal arguments;
    only process 0 evaluates, calls the callbacks and has the history.

    Args:
      trainer: from `training.trainer`.
      data: from `data.prepare`; each batch of `data.train` passes `data.each_step`.
      training: steps, batch size and intervals.
      seed: random seed, in [0, 2^32).
      evaluate: pure, jitted here: (players, key, validation split) -> scalars, or per-example values `[n]`, whose mean
        and standard error are stored. It runs before the first step, every `evaluate_every` steps and after the last
        step. The players come from `players_for_sampling`.
      start: progress from which the run resumes, bit for bit as if it had not stopped; `seed` is then ignored.
      on_metrics: called with each new row of the history (for TensorBoard, W&B, a file).
      on_evaluation: called with the progress and the validation row at each evaluation. Copy the state to keep it: the
        next chunk donates its arrays.
      should_stop: called after each chunk.

    Raises:
      InputError: before compilation: an argument of another type, a seed out of range, a batch that does not fit, or
        data in another range than the likelihood or the generator's last layer.
      NonFiniteError: a loss, a gradient or an updated variable is not finite; carries the progress before that step.
      StoppedError: `should_stop` returned True; carries the progress.
    """
    _check_types(trainer, data, training)
    member = Member("", seed, {}, evaluate, start, Listeners(on_metrics, on_evaluation))
    try:
        (result,) = fit_members(lambda values: trainer, data, training, [member], should_stop=should_stop)
    except (NonFiniteError, StoppedError) as error:
        (error.progress,) = error.progress
        raise
    return result


def _check_types(trainer: Any, data: Any, training: Any) -> None:
    """Says what to write in place of an objective, data that are not prepared, and a number of steps."""
    remedies = {
        "trainer": (trainer, Trainer, "trainer(objective, optimizer)"),
        "data": (data, Prepared, "prepare(dataset), and from_arrays(x) for arrays"),
        "training": (training, Training, "Training(steps=10_000, batch_size=100)"),
    }
    for name, (value, expected, remedy) in remedies.items():
        if not isinstance(value, expected):
            raise InputError(f"`{name}` must be a {expected.__name__}, got {type(value).__name__}. Use {remedy}")


def fit_members(
    trainer_of: TrainerOf,
    data: Prepared,
    training: Training,
    members: Sequence[Member],
    *,
    mesh: Mesh | None = None,
    together: bool | None = True,
    on_choice: Callable[[Way], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    profile: Callable[[], contextlib.AbstractContextManager] | None = None,
) -> list[Fit]:
    """Does as `fit`, for several members that share one compiled program.

    A member equals the single run of its seed and values: bit for bit in turn if only seeds differ, else to rounding.

    Args:
      trainer_of: values -> trainer; the values are tracers if there are several members.
      data: shared by all members; each draws its own batches. Training examples on disk (`data.records`) are streamed,
        to an only member, in chunks of at most 32 MiB; two chunks are in memory.
      training: steps, batch size and intervals of every member.
      members: differ in seeds and values; all start, or all resume from one step.
      mesh: from `data_mesh`; its devices share the members, or the batches of an only member.
      together: whether several members make their steps together, or in turn. None chooses by a measurement
        (`ways.faster`), and standard error shows the choice in a line. With a mesh it must be True.
      on_choice: called with the chosen way, before the first step.
      should_stop: called after each chunk.
      profile: makes a context, such as a trace, in which ten steps run once, after the first step.

    Returns:
      A `Fit` per member.

    Raises:
      InputError: as `fit`; devices that do not divide the members or the batch; several members for streamed data;
        later, streamed data that cannot be read.
      NonFiniteError: names the member; all members keep the state before the first failing step. `progress` of the
        error, and of StoppedError, is a list with one entry per member.
    """
    for member in members:
        seed_in_range(member.seed)
    size = len(data.train.x)
    if training.batch_size > size:
        raise InputError(f"batch_size must be at most {size}, the training split, got {training.batch_size}")
    programs = Programs(trainer_of, data, training, members, mesh)
    program = programs(bool(together))
    stream, hidden = BestEffortStream(sys.stderr), not processes.is_process_zero()
    display, started = display_of(training.steps, stream, hidden), time.monotonic()
    with program.feed, display:
        if together is None:
            way, program = faster(programs, training.steps - _made(members[0]))
            tqdm.write(f"{len(members)} members run {way}", file=stream)
            if on_choice:
                on_choice(way)
        feed, state = program.feed, program.start()
        feed.place(state)

        def log(member: Member) -> Log:
            start, listeners, adversaries = member.start, member.listeners, programs.trainer.adversaries
            return Log(member.name, training.log_every, start, listeners, stream, adversaries, feed.position)

        loop = _Loop(state, training, feed, Logs(members, data.validation, state, log), display, started)
        loop.compile(evaluate=not members[0].start)
        while loop.step < training.steps:
            profiled = profile if loop.step > loop.first else None
            failure = loop.advance(profiled)
            profile = None if profiled else profile
            if failure is not None:
                progress = loop.logs.progress(loop.state)
                raise non_finite_error(trainer_of, data, training.batch_size, members, progress, feed.rows, failure)
            if should_stop and should_stop() and loop.step < training.steps:
                raise StoppedError(
                    f"stopped at step {loop.step:,} of {training.steps:,}", loop.logs.progress(loop.state)
                )
        return loop.result()


class _Loop:
    """The state, the feed and the logs of all members between two chunks."""

    def __init__(
        self, state: TrainState, training: Training, feed: Feed, logs: Logs, display: Bar | Lines, started: float
    ):
        self.state, self.training, self.feed, self.logs, self.display = state, training, feed, logs, display
        self.first = self.step = _step(state)
        self.seconds = {"compiling": 0.0, "running": 0.0, **({"waiting": 0.0} if feed.streams else {})}
        self._started = started

    def compile(self, evaluate: bool) -> None:
        """Compiles the step and the evaluation; with `evaluate`, its row is the first of the history."""
        self.state, _ = block_until_ready(self.feed.run(self.state, self.feed(self.step)[0], 0))
        local = processes.to_local(self.state)
        rows = processes.on_process_zero(self.logs.validate, local)
        self.seconds["compiling"] = time.monotonic() - self._started
        self.display.compiled(self.seconds["compiling"], self.step)
        self._started = time.monotonic()
        if evaluate:
            processes.on_process_zero(self.logs.append, processes.to_local(self.state), rows)
            self.display.evaluated(self.step, summary(self.logs.newest))

    def advance(self, profile: Callable[[], contextlib.AbstractContextManager] | None) -> Metrics | None:
        """Runs a chunk, and evaluates at the intervals. Returns the chunk's metrics if a step failed, else None."""
        requested = time.monotonic()
        batches, count = self.feed(self.step)
        if self.feed.streams:
            self.seconds["waiting"] += time.monotonic() - requested
        with profile() if profile else contextlib.nullcontext():
            count = min(count, _PROFILED_STEPS) if profile else count
            self.state, metrics = _timed_chunk(self.feed, self.state, batches, count)
        finite = _step(self.state) - self.step
        self.step += finite
        last = self.step == self.training.steps
        processes.on_process_zero(self.logs.add, metrics, finite, finite < count or last)
        if finite < count:
            return metrics
        self.display.advanced(count, summary(self.logs.newest))
        if last or self.step % self.training.evaluate_every == 0:
            processes.on_process_zero(self.logs.evaluate, processes.to_local(self.state))
            self.display.evaluated(self.step, summary(self.logs.newest))
        elif is_kept(self.step):
            processes.on_process_zero(self.logs.keep, processes.to_local(self.state))
        return None

    def result(self) -> list[Fit]:
        """Returns the result of each member."""
        self.seconds["running"] = time.monotonic() - self._started
        states = split_members(processes.to_local(self.state))
        return [
            Fit(state, [row for row in history if has_metrics(row)], self.seconds, self.first)
            for state, history in zip(states, self.logs.histories, strict=True)
        ]


def _made(member: Member) -> int:
    return int(member.start.state.step) if member.start else 0


def _step(state: TrainState) -> int:
    return int(np.ravel(processes.to_local(state.step))[0])


def _timed_chunk(feed: Feed, state: TrainState, batches: Any, count: int) -> tuple[TrainState, Metrics]:
    """Runs `count` steps; returns their metrics on the host."""
    with feed.pace.timing(count):
        state, metrics = block_until_ready(feed.run(state, batches, count))
        return state, {name: np.asarray(values)[:count] for name, values in processes.to_local(metrics).items()}
