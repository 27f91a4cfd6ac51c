"""The history of a run, whose rows do not depend on the chunks of the loop, and the progress from which it resumes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from genjax_models.evaluation.symptoms import Symptom, Watch
from genjax_models.runs.streams import BestEffortStream
from genjax_models.types import Metrics, TrainState

_SHOWN = ("bound", "loss", "squared_error", "squared_error_per_number")  # metrics of the progress bar, the first known

Row = dict[str, Any]


class Progress(NamedTuple):
    """All that `fit` needs to resume as if it had never stopped.

    state: after the last step.
    history: all rows so far.
    pending: metrics of the steps since the last training row.
    position: place in the stream of the data (`data.streaming`); None if the data are in memory.
    """

    state: TrainState
    history: list[Row]
    pending: dict[str, list[float]]
    position: dict[str, Any] | None = None


class Listeners(NamedTuple):
    """Callbacks of a member: each new row of its history, each evaluation, and each kept step between evaluations."""

    on_metrics: Callable[[Row], None] | None = None
    on_evaluation: Callable[[Progress, Row], None] | None = None
    on_kept_step: Callable[[TrainState], None] | None = None


class Log:
    """The history of one member, and the metrics of the steps since its last training row."""

    def __init__(
        self,
        name: str,
        log_every: int,
        start: Progress | None,
        listeners: Listeners,
        stream: BestEffortStream,
        adversaries: Sequence[str] = (),
        position: Callable[[int], dict[str, Any] | None] = lambda step: None,
    ):
        """Continues the history of `start`.

        Args:
          name: of the member, for messages; "" if it is the only one.
          log_every: steps per training row.
          start: the progress from which the member resumes; None at the beginning.
          listeners: callbacks.
          stream: receives the symptoms.
          adversaries: names of the players that are adversaries.
          position: step -> place in the stream of the data.
        """
        self.name, self.log_every, self.listeners, self.stream = name, log_every, listeners, stream
        self.position = position
        self.history: list[Row] = list(start.history) if start else []
        self.pending = {name: list(values) for name, values in start.pending.items()} if start else {}
        self.step = int(start.state.step) if start else 0
        self.newest: dict[str, Row] = {row["split"]: row for row in self.history}
        self._watch = Watch(adversaries)
        for row in self.history:
            self._watch.add(row)

    def progress(self, state: TrainState) -> Progress:
        """Returns the progress of the run in this state."""
        pending = {name: list(values) for name, values in self.pending.items()}
        return Progress(state, list(self.history), pending, self.position(int(state.step)))

    def append(self, row: Row) -> list[Symptom]:
        """Appends a row to the history; returns the new symptoms of a validation row."""
        self.history.append(row)
        self.newest[row["split"]] = row
        if self.listeners.on_metrics and has_metrics(row):
            self.listeners.on_metrics(row)
        return self._watch.add(row)

    def append_evaluation(self, state: TrainState, row: Row) -> None:
        """Appends a validation row, and prints the symptoms that are new since the last one."""
        for symptom in self.append(row):
            message = f"{prefix(self.name)}step {row['step']:,}: {symptom.sentence}"
            tqdm.write(message, file=self.stream)  # prints above the progress bar, which uses this stream
        if self.listeners.on_evaluation:
            self.listeners.on_evaluation(self.progress(state), row)

    def add(self, metrics: Metrics, count: int) -> None:
        """Adds the first `count` steps of a chunk; `metrics` has leaves `[steps]`."""
        for i in range(count):
            for name, values in metrics.items():
                self.pending.setdefault(name, []).append(float(values[i]))
            self.step += 1
            if self.step % self.log_every == 0:
                self.flush()

    def flush(self) -> None:
        """Appends the row of the pending metrics."""
        if self.pending:
            means = {name: float(np.mean(values)) for name, values in self.pending.items()}
            self.pending = {}
            self.append({"step": self.step, "split": "train", **means})


def has_metrics(row: Row) -> bool:
    """Returns whether a row has more than its step and split. A fit without `evaluate` has validation rows without."""
    return len(row) > 2


def prefix(name: str) -> str:
    """Returns the beginning of a message about one of several members."""
    return f"{name}, " if name else ""


def summary(newest: Sequence[Mapping[str, Row]]) -> str:
    """Returns the newest bound, loss or squared error of each split, means over members, for the progress bar.

    Args:
      newest: per member, its newest row of each split (`Log.newest`).
    """
    parts = []
    for split in ("train", "validation"):
        rows = [member[split] for member in newest if split in member]
        values = [{name.split("/")[-1]: value for name, value in row.items()} for row in rows]
        names = values[0] if values else ()
        name = next((name for name in _SHOWN if name in names), None)
        if name:
            mean = float(np.mean([one[name] for one in values]))
            parts.append(f"{split} {name} {mean:{'.2f' if abs(mean) >= 1 else '.3g'}}")
    return ", ".join(parts)
