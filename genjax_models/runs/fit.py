"""`fit`: trains, evaluates and shows progress, for scripts and notebooks alike. It writes nothing to disk."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm.auto import tqdm

from genjax_models.data.dataset import Range, Split
from genjax_models.data.prepare import Prepared
from genjax_models.data.records import Records
from genjax_models.errors import InputError, NonFiniteError, StoppedError
from genjax_models.evaluation.estimates import estimate
from genjax_models.runs import processes
from genjax_models.runs.configuration import Training, seed_in_range
from genjax_models.runs.feed import Feed, beside, feed_of
from genjax_models.runs.history import Log, Progress, Row, Unbroken, of, summary
from genjax_models.training import data_parallel, first_failure, loop_over_data, together
from genjax_models.training.parallel import check_divides
from genjax_models.types import Array, Batch, Metrics, Players, PRNGKey, Trainer, TrainState

# Evaluation draws the same noise at every step of every run, so that what moves a curve is the model.
# Seeds of runs are roots and their keys are split, so a root folded with a large number is no key of any run.
_EVALUATION = 2**32 - 1
_PROFILED = 10  # steps

Evaluate = Callable[[Players, PRNGKey, Batch], Mapping[str, Array]]


class Fit(NamedTuple):
    """The state after the last step, and a tidy history.

    A row of `history` has "step", "split" ("train": means over the steps since the row before; "validation": means over
    examples, with "name_se" beside "name") and metrics by name; `pandas.DataFrame(history)` takes it as it is.
    `seconds` tells compiling (with one evaluation) from running and, where data are streamed, how much of that was
    waiting for them; `first` is the step from which this call went on.
    """

    state: TrainState
    history: list[Row]
    seconds: dict[str, float]
    first: int = 0


class Member(NamedTuple):
    """One of several runs that are one program; the fields are what `fit` is told of a run.

    `name` says which it is where something is told of it; `values` is what its trainer is built with.
    """

    name: str = ""
    seed: int = 0
    values: Mapping[str, float] = {}
    evaluate: Evaluate | None = None
    start: Progress | None = None
    on_metrics: Callable[[Row], None] | None = None
    on_evaluation: Callable[[Progress, Row], None] | None = None


def fit(
    trainer: Trainer,
    data: Prepared,
    training: Training,
    *,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    start: Progress | None = None,
    on_metrics: Callable[[Row], None] | None = None,
    on_evaluation: Callable[[Progress, Row], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Fit:
    """Trains for `training.steps` steps in compiled chunks of about two seconds.

    On standard error stand a progress bar and, from the evaluation on that shows it, what goes wrong in a game
    (`evaluation.findings.symptoms`).

    Args:
      trainer: from `training.trainer`.
      data: from `data.prepare`.
      training: steps, batch size and intervals.
      seed: of everything random in the run, in [0, 2^32).
      evaluate: pure and jitted here: (players, key, validation split) -> per-example values `[n]`, of which the history
        has mean and standard error, or scalars. Before the first step, every `evaluate_every` and after the last. The
        players are those of `players_for_sampling`.
      start: goes on from there, bit for bit as if the run had not stopped; `seed` is then that of the state.
      on_metrics: called with each new row of the history as it is made (for TensorBoard, W&B, a file).
      on_evaluation: called with the progress and the validation row, at each evaluation. The state is only lent: the
        next chunk donates its arrays.
      should_stop: asked after each chunk.

    Where `jax.distributed` has several processes, all call this alike, and process 0 alone evaluates, calls back and
    has the history.

    Raises:
      InputError: before anything is compiled, for a seed out of range, a batch that does not fit, or data in another
        range than the generator's last layer.
      NonFiniteError: a loss, a gradient or what it led to was not finite; carries the progress before that step.
      StoppedError: `should_stop` said so; carries the progress.
    """
    member = Member("", seed, {}, evaluate, start, on_metrics, on_evaluation)
    try:
        (fitted,) = fit_together(lambda values: trainer, data, training, [member], should_stop=should_stop)
    except (NonFiniteError, StoppedError) as error:
        (error.progress,) = error.progress
        raise
    return fitted


def fit_together(
    trainer_of: Callable[[Mapping[str, Any]], Trainer],
    data: Prepared,
    training: Training,
    members: Sequence[Member],
    *,
    mesh: Mesh | None = None,
    should_stop: Callable[[], bool] | None = None,
    profile: Callable[[], contextlib.AbstractContextManager] | None = None,
) -> list[Fit]:
    """As `fit`, for several members that walk in step in one compiled program (`training.together`).

    A member is the run of its seed and values alone, to rounding; the only member is that run, bit for bit.

    Args:
      trainer_of: the trainer of a member with these values: tracers where there are several members.
      data: that all members share; each has batches of its own. Training examples on disk (`data.records`) are
        streamed, to an only member, in chunks of at most 32 MiB, of which two are in memory.
      training: of each.
      members: differ in seeds and values; all start, or all go on from one step.
      mesh: from `data_mesh`: its devices share the members, or, of an only member, each batch.
      should_stop: asked after each chunk.
      profile: makes a context in which ten steps are made, once, after the first step (a trace, say).

    Returns:
      A `Fit` for each member.

    Raises:
      InputError: as `fit`; a number of members, or for an only one a batch, that the devices do not divide; several
        members for streamed data; on the way, streamed data that cannot be read.
      NonFiniteError: names the member; all are kept as before the step at which the first failed. The error's
        `progress`, like that of StoppedError, is a list with one for each member.
    """
    for member in members:
        seed_in_range(member.seed)
    size = len(data.train.x)
    if training.batch_size > size:
        raise InputError(f"batch_size must be at most {size}, the training split, got {training.batch_size}")
    trainer = _trainer(trainer_of, members, training.batch_size, mesh, data.range)
    check_alone(data.train, len(members))
    position = members[0].start.position if members[0].start else None
    feed = feed_of(trainer, data, training, seed=members[0].seed, position=position, mesh=mesh)
    steps, every = training.steps, training.evaluate_every
    shown, hidden = Unbroken(sys.stderr), not processes.is_first()
    bar = tqdm(total=steps, desc="compiling", unit="step", dynamic_ncols=True, file=shown, disable=hidden)
    with feed, bar:
        began = time.monotonic()
        state = _initial_state(trainer, data.example, members, mesh)
        feed.place(state)
        logs = _Logs(members, training.log_every, data.validation, state, shown, feed.position)
        done = first = _step(state)
        state, _ = ready(feed.run(state, feed(done)[0], 0))
        at_start = processes.on_first(logs.validated, processes.here(state))
        seconds = {"compiling": time.monotonic() - began}
        bar.set_description(f"compiled in {seconds['compiling']:.1f} s, training")
        bar.reset()
        bar.update(done)
        began, waiting = time.monotonic(), 0.0
        if not members[0].start:
            processes.on_first(logs.record, processes.here(state), at_start)
        while done < steps:
            asked = time.monotonic()
            batches, count = feed(done)
            waiting += time.monotonic() - asked
            profiling = profile is not None and done > first
            with profile() if profiling else contextlib.nullcontext():
                count = min(count, _PROFILED) if profiling else count
                state, metrics = _timed_chunk(feed, state, batches, count)
            profile = None if profiling else profile
            finite = _step(state) - done
            done += finite
            processes.on_first(logs.add, metrics, finite, finite < count or done == steps)
            if finite < count:
                raise _non_finite(trainer_of, data, training.batch_size, members, logs.progress(state), metrics, feed)
            bar.update(count)
            bar.set_postfix_str(summary(logs.histories))
            if done == steps or done % every == 0:
                processes.on_first(logs.evaluate, processes.here(state))
            if should_stop and should_stop() and done < steps:
                raise StoppedError(f"stopped at step {done} of {steps}", logs.progress(state))
        seconds["running"] = time.monotonic() - began
        if feed.streams:
            seconds["waiting"] = waiting
        ended = _apart(processes.here(state))
    return [Fit(own, history, seconds, first) for own, history in zip(ended, logs.histories, strict=True)]


def check_alone(train: Batch | Split, members: int) -> None:
    """Refuses several members of streamed data: each would read batches of its own.

    Raises:
      InputError: there are several.
    """
    if members > 1 and isinstance(train.x, Records):
        raise InputError(f"streamed data are for one run at a time, got {members}")


def check_shares(members: int, batch_size: int, mesh: Mesh | None) -> None:
    """Refuses what the devices of `mesh` cannot share evenly: several members, or the batch of an only one.

    Raises:
      InputError: with what they can.
    """
    if mesh is None:
        return
    if members > 1 and members % mesh.size:
        raise InputError(f"members must be a multiple of {mesh.size}, the devices that share them, got {members}")
    if members == 1:
        try:
            check_divides(batch_size, mesh.size)
        except ValueError as error:
            raise InputError(f"batch_size: {error}") from None


def _trainer(trainer_of, members: Sequence[Member], batch_size: int, mesh: Mesh | None, data_range: Range) -> Trainer:
    """Of all members, or of the only one: no axis of members then, and no cost of one."""
    check_shares(len(members), batch_size, mesh)
    alone = trainer_of(members[0].values)
    if alone.range not in (None, data_range):
        raise InputError(
            f"the generator's values are in {list(alone.range)}, and data in {list(data_range)}: give `prepare` the"
            f" generator's range, or the generator another last layer"
        )
    if len(members) > 1:
        return together(trainer_of, _stacked([dict(member.values) for member in members]))
    return alone if mesh is None else data_parallel(alone, mesh)


def _initial_state(trainer: Trainer, example: Batch, members: Sequence[Member], mesh: Mesh | None) -> TrainState:
    if members[0].start:
        state = _stacked([jax.tree.map(jnp.copy, member.start.state) for member in members])
    else:
        state = jax.jit(trainer.init)(_stacked([jax.random.key(member.seed) for member in members]), example)
    if mesh is not None:
        state = processes.spread(state, NamedSharding(mesh, PartitionSpec(*mesh.axis_names[: state.step.ndim])))
    return ready(state)


def _stacked(trees: Sequence[Any]) -> Any:
    """One tree with a leading axis `[members]`; of an only member its own."""
    return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _apart(state: TrainState) -> Iterator[TrainState]:
    """The members' states, one after the other; of an only member the state."""
    if not state.step.ndim:
        yield state
    else:
        for i in range(len(state.step)):
            yield jax.tree.map(lambda a, i=i: a[i], state)


def _apart_metrics(metrics: Metrics, members: int) -> list[Metrics]:
    """Leaves `[steps]` for each member, of `[steps, members]`; those of an only member as they are."""
    return [metrics if members == 1 else {name: m[:, i] for name, m in metrics.items()} for i in range(members)]


def _step(state: TrainState) -> int:
    step = processes.here(state.step)
    return int(step if not step.ndim else step[0])


def _timed_chunk(feed: Feed, state: TrainState, batches: Batch, count: int) -> tuple[TrainState, Metrics]:
    """`count` steps; their metrics on the host."""
    with feed.pace.timing(count):
        state, metrics = ready(feed.run(state, batches, count))
        metrics = processes.here(metrics)
        return state, {name: np.asarray(values)[:count] for name, values in metrics.items()}


class _Logs:
    """The logs of all members, and what is written into them."""

    def __init__(
        self,
        members: Sequence[Member],
        log_every: int,
        validation: Batch,
        state: TrainState,
        shown: Unbroken,
        position: Callable[[int], dict[str, Any] | None],
    ):
        here = beside(processes.here(state), validation)
        compiled = {evaluate: _validator(evaluate, here) for evaluate in {m.evaluate for m in members}}
        self._validators = [compiled[m.evaluate] for m in members]
        self._logs = [Log(log_every, m.name, m.start, m.on_metrics, m.on_evaluation, shown, position) for m in members]

    @property
    def histories(self) -> list[list[Row]]:
        return [log.history for log in self._logs]

    def validated(self, state: TrainState) -> list[Row]:
        return [validate(own) for validate, own in zip(self._validators, _apart(state), strict=True)]

    def record(self, state: TrainState, rows: Sequence[Row]) -> None:
        for log, own, row in zip(self._logs, _apart(state), rows, strict=True):
            log.evaluated(own, row)

    def evaluate(self, state: TrainState) -> None:
        self.record(state, self.validated(state))

    def add(self, metrics: Metrics, count: int, last: bool) -> None:
        for log, own in zip(self._logs, _apart_metrics(metrics, len(self._logs)), strict=True):
            log.add(own, count)
        if last:
            for log in self._logs:
                log.flush()

    def progress(self, state: TrainState) -> list[Progress]:
        return [log.progress(own) for log, own in zip(self._logs, _apart(processes.here(state)), strict=True)]


def _validator(evaluate: Evaluate | None, validation: Batch) -> Callable[[TrainState], Row]:
    compiled = jax.jit(evaluate) if evaluate else lambda *_: {}

    def validate(state: TrainState) -> Row:
        values = ready(compiled(players_for_sampling(state), evaluation_key(), validation))
        return summarised(int(state.step), "validation", values)

    return validate


def ready(values: Any) -> Any:
    """The tree of arrays, when they are made: where memory was not enough, this raises, and `np.asarray` and `int` wait
    for ever (seen with jax 0.10.2 on the CPU)."""
    return jax.block_until_ready(values)


def players_for_sampling(state: TrainState) -> Players:
    """The players as pictures, evaluation and `load` see them: moving averages in place of players that keep one."""
    return {**state.variables, **state.average}


def evaluation_key() -> PRNGKey:
    """The key of every evaluation."""
    return jax.random.fold_in(jax.random.key(0), np.uint32(_EVALUATION))


def summarised(step: int, split: str, values: Mapping[str, Array]) -> Row:
    """A row of the history from what `evaluate` returned."""
    row: Row = {"step": step, "split": split}
    for name, value in values.items():
        if np.ndim(value):
            row[name], error, n = estimate(value)
            if n > 1:
                row[f"{name}_se"] = error
        else:
            row[name] = float(value)
    return row


def _non_finite(
    trainer_of,
    data: Prepared,
    batch_size: int,
    members: Sequence[Member],
    kept: list[Progress],
    metrics: Metrics,
    feed: Feed,
) -> NonFiniteError:
    """Of the first member whose metrics fail, else of the first whose next step, made alone, does."""
    failures = [first_failure(own) for own in _apart_metrics(metrics, len(members))]

    def fails_alone(member: Member, state: TrainState) -> bool:
        run = loop_over_data(trainer_of(member.values), batch_size=batch_size, prepare=data.each_step, chunk=1)
        return _step(run(jax.tree.map(jnp.copy, state), beside(state, data.train), 1)[0]) == _step(state)

    which = next((i for i, failure in enumerate(failures) if failure), None if len(members) > 1 else 0)
    if which is None:
        which = next((i for i, member in enumerate(members) if fails_alone(member, kept[i].state)), None)
    if which is None:
        told = (
            f"one of the members, step {_step(kept[0].state)}: what it learned is not finite, but is when it is alone"
        )
        return NonFiniteError(told, kept)
    state, names = kept[which].state, failures[which][1] if failures[which] else ["one of the updated variables"]
    rows = feed.rows(state)
    shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
    culprits = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
    return NonFiniteError(
        f"{of(members[which].name)}step {int(state.step)}: {culprits} not finite;"
        f" the batch was rows {shown} of the training split; the state before that step is kept",
        kept,
    )
