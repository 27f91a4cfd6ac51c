"""The logs of members that train side by side. Their states and metrics are split by member."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax

from genjax_models.runs import processes
from genjax_models.runs.evaluation import Evaluate, validator
from genjax_models.runs.feed import replicated
from genjax_models.runs.history import Listeners, Log, Progress, Row
from genjax_models.types import Array, Batch, Metrics, TrainState


class Member(NamedTuple):
    """One of several runs that train side by side.

    name: name in messages; "" for an only member.
    seed: random seed.
    values: numbers from which its trainer is built.
    evaluate: as in `fit`.
    start: progress from which it resumes; None at the beginning.
    listeners: callbacks.
    arrays: path in the players -> array that replaces its own at the beginning (`runs.starting`).
    """

    name: str = ""
    seed: int = 0
    values: Mapping[str, float] = {}
    evaluate: Evaluate | None = None
    start: Progress | None = None
    listeners: Listeners = Listeners()
    arrays: Mapping[str, Array] = {}


def split_members(state: TrainState) -> Iterator[TrainState]:
    """Yields the state of each member; for an only member, whose state has no axis of members, the state itself."""
    if not state.step.ndim:
        yield state
    else:
        for i in range(len(state.step)):
            yield jax.tree.map(lambda a, i=i: a[i], state)


def split_metrics(metrics: Metrics, members: int) -> list[Metrics]:
    """Returns leaves `[steps]` per member, from leaves `[steps, members]`, or `[steps]` for an only member."""
    return [metrics if members == 1 else {name: m[:, i] for name, m in metrics.items()} for i in range(members)]


class Logs:
    """The logs of all members."""

    def __init__(self, members: Sequence[Member], validation: Batch, state: TrainState, make: Callable[[Member], Log]):
        """Compiles nothing yet; members with the same function `evaluate` share its compiled form."""
        local = replicated(processes.to_local(state), validation)
        compiled = {evaluate: validator(evaluate, local) for evaluate in {m.evaluate for m in members}}
        self._validators = [compiled[m.evaluate] for m in members]
        self._logs = [make(member) for member in members]

    @property
    def histories(self) -> list[list[Row]]:
        """The history of each member."""
        return [log.history for log in self._logs]

    @property
    def newest(self) -> list[dict[str, Row]]:
        """The newest row of each split, of each member."""
        return [log.newest for log in self._logs]

    def validate(self, state: TrainState) -> list[Row]:
        """Returns the validation row of each member."""
        return [validate(member) for validate, member in zip(self._validators, split_members(state), strict=True)]

    def append(self, state: TrainState, rows: Sequence[Row]) -> None:
        """Appends a validation row to each history."""
        for log, member, row in zip(self._logs, split_members(state), rows, strict=True):
            log.append_evaluation(member, row)

    def evaluate(self, state: TrainState) -> None:
        """Evaluates each member, and appends its row."""
        self.append(state, self.validate(state))

    def keep(self, state: TrainState) -> None:
        """Hands the state at a kept step between evaluations to the listeners."""
        for log, member in zip(self._logs, split_members(state), strict=True):
            if log.listeners.on_kept_step:
                log.listeners.on_kept_step(member)

    def add(self, metrics: Metrics, count: int, last: bool) -> None:
        """Adds the first `count` steps of a chunk; the last chunk of a run completes the pending training row."""
        for log, values in zip(self._logs, split_metrics(metrics, len(self._logs)), strict=True):
            log.add(values, count)
        if last:
            for log in self._logs:
                log.flush()

    def progress(self, state: TrainState) -> list[Progress]:
        """Returns the progress of each member."""
        local = processes.to_local(state)
        return [log.progress(member) for log, member in zip(self._logs, split_members(local), strict=True)]
