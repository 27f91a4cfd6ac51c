"""`fit`: trains, evaluates and shows progress, for scripts and notebooks alike. It writes nothing to disk."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TextIO

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, NonFiniteError, StoppedError
from genjax_models.evaluation.estimates import estimate
from genjax_models.runs.configuration import Training, seed_in_range
from genjax_models.training import batch_rows, first_failure, loop_over_data
from genjax_models.types import Array, Batch, Metrics, Players, PRNGKey, Trainer, TrainState

# Evaluation draws the same noise at every step of every run, so that what moves a curve is the model.
# Seeds of runs are roots and their keys are split, so a root folded with a large number is no key of any run.
_EVALUATION = 2**32 - 1
_LONGEST_CHUNK = 500  # steps
_CHUNK_SECONDS = 2.0

Row = dict[str, Any]
Evaluate = Callable[[Players, PRNGKey, Batch], Mapping[str, Array]]


class Progress(NamedTuple):
    """Where a run is: with it, and nothing else, `fit` goes on as if it had never stopped.

    The state, the history so far, and the metrics of the steps since its last training row.
    """

    state: TrainState
    history: list[Row]
    pending: dict[str, list[float]]


class Fit(NamedTuple):
    """The state after the last step, and a tidy history.

    A row of `history` has "step", "split" ("train": means over the steps since the row before; "validation": means over
    examples, with "name_se" beside "name") and metrics by name; `pandas.DataFrame(history)` takes it as it is.
    `seconds` tells compiling (with one evaluation) from running; `first` is the step from which this call went on.
    """

    state: TrainState
    history: list[Row]
    seconds: dict[str, float]
    first: int = 0


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

    Raises:
      InputError: before anything is compiled, for a seed out of range or a batch that does not fit.
      NonFiniteError: a loss, a gradient or what it led to was not finite; carries the progress before that step.
      StoppedError: `should_stop` said so; carries the progress.
    """
    seed_in_range(seed)
    size = len(data.train.x)
    if training.batch_size > size:
        raise InputError(f"batch_size must be at most {size}, the training split, got {training.batch_size}")
    steps, every, chunk = training.steps, training.evaluate_every, _longest_chunk(training, size)
    run = loop_over_data(trainer, batch_size=training.batch_size, prepare=data.each_step, chunk=chunk)
    validate = _validator(evaluate, data.validation)
    log, pace = _Log(training.log_every, start, on_metrics, on_evaluation), _Pace(chunk)
    with tqdm(total=steps, desc="compiling", unit="step", dynamic_ncols=True, file=Unbroken(sys.stderr)) as bar:
        began = time.monotonic()
        state = jax.tree.map(jnp.copy, start.state) if start else _initial_state(trainer, data, seed)
        done = first = int(state.step)
        state, _ = ready(run(state, data.train, 0))
        row = validate(state)
        seconds = {"compiling": time.monotonic() - began}
        bar.set_description(f"compiled in {seconds['compiling']:.1f} s, training")
        bar.reset()
        bar.update(done)
        began = time.monotonic()
        if not start:
            log.evaluated(state, row)
        while done < steps:
            count = min(pace.steps(), every - done % every, steps - done)
            state, metrics = _timed_chunk(run, state, data.train, count, pace)
            finite = int(state.step) - done
            log.add(metrics, finite)
            if finite < count:
                log.flush()
                raise _non_finite(first_failure(metrics), log.progress(state), size, training.batch_size)
            done += count
            bar.update(count)
            bar.set_postfix_str(_summary(log.history))
            if done == steps:
                log.flush()
            if done == steps or done % every == 0:
                log.evaluated(state, validate(state))
            if should_stop and should_stop() and done < steps:
                raise StoppedError(f"stopped at step {done} of {steps}", log.progress(state))
        seconds["running"] = time.monotonic() - began
    return Fit(state, log.history, seconds, first)


def _longest_chunk(training: Training, size: int) -> int:
    """Steps in a call of the loop, for which it permutes all the epochs that they may touch: ten at most."""
    epochs = 10 * (size // training.batch_size)
    return max(1, min(_LONGEST_CHUNK, training.evaluate_every, training.steps, epochs))


def _initial_state(trainer: Trainer, data: Prepared, seed: int) -> TrainState:
    return ready(jax.jit(trainer.init)(jax.random.key(seed), data.example))


def _timed_chunk(run, state: TrainState, data: Batch, count: int, pace: "_Pace") -> tuple[TrainState, Metrics]:
    """`count` steps; their metrics on the host."""
    with pace.timing(count):
        state, metrics = ready(run(state, data, count))
        return state, {name: np.asarray(values)[:count] for name, values in metrics.items()}


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


class _Pace:
    """How many steps fit into a chunk's time: one at first, then as the last chunk tells."""

    def __init__(self, longest: int):
        self.longest = longest
        self.seconds_per_step = _CHUNK_SECONDS

    def steps(self) -> int:
        return max(1, min(self.longest, int(_CHUNK_SECONDS / self.seconds_per_step)))

    @contextlib.contextmanager
    def timing(self, count: int):
        started = time.monotonic()
        yield
        self.seconds_per_step = max(1e-9, (time.monotonic() - started) / count)


class _Log:
    """The history, and the metrics of single steps on their way into it: rows whose borders no chunk moves."""

    def __init__(self, log_every: int, start: Progress | None, on_metrics, on_evaluation):
        self.log_every, self.on_metrics, self.on_evaluation = log_every, on_metrics, on_evaluation
        self.history: list[Row] = list(start.history) if start else []
        self.pending = {name: list(values) for name, values in start.pending.items()} if start else {}
        self.step = int(start.state.step) if start else 0

    def progress(self, state: TrainState) -> Progress:
        return Progress(state, list(self.history), {name: list(values) for name, values in self.pending.items()})

    def record(self, row: Row) -> None:
        self.history.append(row)
        if self.on_metrics:
            self.on_metrics(row)

    def evaluated(self, state: TrainState, row: Row) -> None:
        """Takes a validation row, and tells of it."""
        self.record(row)
        if self.on_evaluation:
            self.on_evaluation(self.progress(state), row)

    def add(self, metrics: Metrics, count: int) -> None:
        """Takes the first `count` steps of a chunk."""
        for i in range(count):
            for name, values in metrics.items():
                self.pending.setdefault(name, []).append(float(values[i]))
            self.step += 1
            if self.step % self.log_every == 0:
                self.flush()

    def flush(self) -> None:
        """The row of what is there."""
        if self.pending:
            means = {name: float(np.mean(values)) for name, values in self.pending.items()}
            self.pending = {}
            self.record({"step": self.step, "split": "train", **means})


class Unbroken:
    """A text stream whose reader may go away: what cannot be written is lost, and training goes on."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes, or does not."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes, or does not."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _non_finite(
    failure: tuple[int, list[str]] | None, progress: Progress, size: int, batch_size: int
) -> NonFiniteError:
    state, names = progress.state, failure[1] if failure else ["the updated variables"]
    rows = np.asarray(batch_rows(state.key, state.step, 1, size, batch_size))[0]
    shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
    return NonFiniteError(
        f"step {int(state.step)}: {' and '.join(names)} not finite; the batch was rows {shown} of the training split;"
        f" the state before that step is kept",
        progress,
    )


def _summary(history: list[Row]) -> str:
    """The newest numbers worth showing beside the bar."""
    shown = []
    for split in ("train", "validation"):
        rows = [row for row in history if row["split"] == split]
        values = {name.split("/")[-1]: value for name, value in (rows[-1].items() if rows else ())}
        name = next((name for name in ("bound", "loss", "squared_error") if name in values), None)
        if name:
            shown.append(f"{split} {name} {values[name]:.2f}")
    return ", ".join(shown)
