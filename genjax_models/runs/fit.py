"""`fit`: trains, evaluates and shows progress, for scripts and notebooks alike. It writes nothing to disk."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm.auto import tqdm

from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, NonFiniteError
from genjax_models.evaluation.estimates import estimate
from genjax_models.runs.configuration import Training, seed_in_range
from genjax_models.training import batch_rows, first_failure, loop_over_data
from genjax_models.types import Array, Batch, Metrics, Players, PRNGKey, Trainer, TrainState

# Evaluation draws the same noise at every step of every run, so that what moves a curve is the model.
_EVALUATION_SEED = 0
_LONGEST_CHUNK = 500  # steps
_CHUNK_SECONDS = 2.0

Row = dict[str, Any]
Evaluate = Callable[[Players, PRNGKey, Batch], Mapping[str, Array]]


class Fit(NamedTuple):
    """The state after the last step, and a tidy history.

    A row of `history` has "step", "split" ("train": means over the steps since the row before; "validation": means over
    examples, with "name_se" beside "name") and metrics by name; `pandas.DataFrame(history)` takes it as it is.
    `seconds` tells compiling from running.
    """

    state: TrainState
    history: list[Row]
    seconds: dict[str, float]


def fit(
    trainer: Trainer,
    data: Prepared,
    training: Training,
    *,
    seed: int = 0,
    evaluate: Evaluate | None = None,
    on_metrics: Callable[[Row], None] | None = None,
    on_evaluation: Callable[[TrainState, Row], None] | None = None,
) -> Fit:
    """Trains for `training.steps` steps in compiled chunks of about two seconds.

    Args:
      trainer: from `training.trainer`.
      data: from `data.prepare`.
      training: steps, batch size and intervals.
      seed: of everything random in the run, in [0, 2^32).
      evaluate: pure and jitted here: (players, key, validation split) -> per-example values `[n]`, of which the history
        has mean and standard error, or scalars. Before the first step, every `evaluate_every` and after the last.
      on_metrics: called with each row of the history as it is made (for TensorBoard, W&B, a file).
      on_evaluation: called with the state and the validation row, at each evaluation. The state is only lent: the next
        chunk donates its arrays.

    Raises:
      InputError: before anything is compiled, for a seed out of range or a batch that does not fit.
      NonFiniteError: a loss or a gradient was not finite; carries the state before that step.
    """
    seed_in_range(seed)
    size = len(data.train.x)
    if training.batch_size > size:
        raise InputError(f"batch_size must be at most {size}, the training split, got {training.batch_size}")
    history: list[Row] = []

    def record(row: Row) -> None:
        history.append(row)
        if on_metrics:
            on_metrics(row)

    def observe(state: TrainState, row: Row) -> None:
        record(row)
        if on_evaluation:
            on_evaluation(state, row)

    steps, every = training.steps, training.evaluate_every
    chunk = max(1, min(_LONGEST_CHUNK, every, steps))
    run = loop_over_data(trainer, batch_size=training.batch_size, prepare=data.each_step, chunk=chunk)
    validate = _validator(evaluate, data.validation)
    pending, pace = _Pending(training.log_every), _Pace(chunk)
    with tqdm(total=steps, desc="compiling", unit="step", dynamic_ncols=True) as bar:
        started = time.monotonic()
        state = jax.jit(trainer.init)(jax.random.key(seed), data.example)
        state, _ = run(state, data.train, 0)
        row = validate(state)
        seconds = {"compiling": time.monotonic() - started}
        bar.set_description(f"compiled in {seconds['compiling']:.1f} s, training")
        bar.reset()
        started = time.monotonic()
        observe(state, row)
        for start in range(0, steps, every):
            for moved, metrics in _chunks(run, state, data.train, min(every, steps - start), pace):
                state, failure = moved, first_failure(metrics)
                for row in pending.add(metrics, failure):
                    record(row)
                if failure:
                    for row in pending.rest():
                        record(row)
                    raise _non_finite(failure[1], state, size, training.batch_size)
                bar.update(_length(metrics))
                bar.set_postfix_str(_summary(history))
            observe(state, validate(state))
        for row in pending.rest():
            record(row)
        seconds["running"] = time.monotonic() - started
    return Fit(state, history, seconds)


def _validator(evaluate: Evaluate | None, validation: Batch) -> Callable[[TrainState], Row]:
    compiled = jax.jit(evaluate) if evaluate else lambda *_: {}

    def validate(state: TrainState) -> Row:
        return summarised(int(state.step), "validation", compiled(state.variables, evaluation_key(), validation))

    return validate


def evaluation_key() -> PRNGKey:
    """The key of every evaluation."""
    return jax.random.key(_EVALUATION_SEED)


def summarised(step: int, split: str, values: Mapping[str, Array]) -> Row:
    """A row of the history from what `evaluate` returned."""
    row: Row = {"step": step, "split": split}
    for name, value in values.items():
        if np.ndim(value):
            row[name], row[f"{name}_se"], _ = estimate(value)
        else:
            row[name] = float(value)
    return row


def _chunks(run, state: TrainState, data: Batch, steps: int, pace: "_Pace"):
    """Makes `steps` steps; yields the state after each chunk, and the chunk's metrics on the host."""
    while steps:
        count = min(steps, pace.steps())
        with pace.timing(count):
            state, metrics = run(state, data, count)
            metrics = {name: np.asarray(values)[:count] for name, values in metrics.items()}
        steps -= count
        yield state, metrics


def _length(metrics: Metrics) -> int:
    return len(next(iter(metrics.values())))


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


class _Pending:
    """Metrics of single steps, averaged into rows whose borders do not depend on the chunks."""

    def __init__(self, log_every: int):
        self.log_every = log_every
        self.step = 0
        self.values: dict[str, list[float]] = {}

    def add(self, metrics: Metrics, failure: tuple[int, list[str]] | None) -> Iterator[Row]:
        """Takes a chunk, up to the step that failed."""
        for i in range(failure[0] if failure else _length(metrics)):
            for name, values in metrics.items():
                self.values.setdefault(name, []).append(float(values[i]))
            self.step += 1
            if self.step % self.log_every == 0:
                yield from self.rest()

    def rest(self) -> Iterator[Row]:
        """The row of what is there."""
        if self.values:
            means = {name: float(np.mean(values)) for name, values in self.values.items()}
            self.values = {}
            yield {"step": self.step, "split": "train", **means}


def _non_finite(names: list[str], state: TrainState, size: int, batch_size: int) -> NonFiniteError:
    rows = np.asarray(batch_rows(state.key, state.step, 1, size, batch_size))[0]
    shown = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
    return NonFiniteError(
        f"step {int(state.step)}: {' and '.join(names)} not finite; the batch was rows {shown} of the training split;"
        f" the state before that step is kept",
        state,
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
