"""What is recorded of a run as it goes: rows whose borders no chunk moves, and where to go on from."""

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

import numpy as np
from tqdm.auto import tqdm

from genjax_models.evaluation.findings import new_symptoms
from genjax_models.types import Metrics, TrainState

Row = dict[str, Any]


class Progress(NamedTuple):
    """Where a run is: with it, and nothing else, `fit` goes on as if it had never stopped.

    The state, the history so far, and the metrics of the steps since its last training row; `position` is that in the
    stream of its data (`data.streaming`), None where data are in memory.
    """

    state: TrainState
    history: list[Row]
    pending: dict[str, list[float]]
    position: dict[str, Any] | None = None


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


class Log:
    """A member's history, and the metrics of single steps on their way into it: rows whose borders no chunk moves."""

    def __init__(
        self,
        log_every: int,
        name: str,
        start: Progress | None,
        on_metrics,
        on_evaluation,
        shown: Unbroken,
        position=lambda step: None,
    ):
        """`name` says whose it is, where there are several; `shown` is where symptoms are told; `position` is that of a
        step in the stream of data."""
        self.position = position
        self.log_every, self.name, self.shown = log_every, name, shown
        self.on_metrics, self.on_evaluation = on_metrics, on_evaluation
        self.history: list[Row] = list(start.history) if start else []
        self.pending = {name: list(values) for name, values in start.pending.items()} if start else {}
        self.step = int(start.state.step) if start else 0

    def progress(self, state: TrainState) -> Progress:
        """Where the run is with this state."""
        pending = {name: list(values) for name, values in self.pending.items()}
        return Progress(state, list(self.history), pending, self.position(int(state.step)))

    def record(self, row: Row) -> None:
        """Takes a row as it is."""
        self.history.append(row)
        if self.on_metrics:
            self.on_metrics(row)

    def evaluated(self, state: TrainState, row: Row) -> None:
        """Takes a validation row, and tells of it and of what goes wrong since the one before."""
        self.record(row)
        for symptom in new_symptoms(self.history):
            told = f"{of(self.name)}step {row['step']:,}: {symptom.sentence}"
            tqdm.write(told, file=self.shown)  # the bar's stream: it makes way
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


def of(name: str) -> str:
    """Whose it is that is told of, where there are several."""
    return f"{name}, " if name else ""


def summary(histories: Sequence[list[Row]]) -> str:
    """The newest numbers worth showing beside the bar, means over members."""
    shown = []
    for split in ("train", "validation"):
        rows = [[row for row in history if row["split"] == split] for history in histories]
        newest = [{name.split("/")[-1]: v for name, v in of_one[-1].items()} for of_one in rows if of_one]
        names = newest[0] if newest else ()
        name = next((name for name in ("bound", "loss", "squared_error") if name in names), None)
        if name:
            shown.append(f"{split} {name} {np.mean([values[name] for values in newest]):.2f}")
    return ", ".join(shown)
