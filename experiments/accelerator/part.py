"""A part of the measurement, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

Facts = dict[str, Any]  # what JSON can hold
Status = Literal["measured", "stopped", "failed", "left out", "not run"]


class Part(NamedTuple):
    """One thing to measure.

    name: "kind:case"; unique.
    what: one line for people.
    seconds: most time that the part may take.
    measure: yields facts, each time all facts so far. A process pickles it.
    apart: whether the part's process leaves the device to a process that the part starts.
    """

    name: str
    what: str
    seconds: float
    measure: Callable[[], Iterator[Facts]]
    apart: bool = False


class Outcome(NamedTuple):
    """What came of a part: its facts may be incomplete, unless the status is "measured". The note is one line."""

    status: Status
    note: str = ""
    facts: Facts | None = None
    seconds: float = 0.0


class LeftOutError(Exception):
    """The part cannot be measured on this machine; the message is the reason."""


def line_of(error: BaseException) -> str:
    """Returns the error as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
