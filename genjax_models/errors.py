"""Errors that a person is meant to read: one line each."""

from typing import Any


class InputError(ValueError):
    """A value that cannot be used: names it, where it came from and what is accepted."""


class CheckpointError(RuntimeError):
    """A checkpoint that is absent, damaged or of something else: names the file and what differs."""


class DamagedError(CheckpointError):
    """A checkpoint that is not what was written: names the file."""


class ProcessError(RuntimeError):
    """Another process of the run failed or is gone: names this one, and says what is known."""


class NonFiniteError(ArithmeticError):
    """A loss or a gradient that was not finite: names the step and the player, and carries what there was before."""

    def __init__(self, message: str, progress: Any):
        """`progress` is the `runs.fit.Progress` before the step that failed."""
        super().__init__(message, progress)
        self.progress = progress

    def __str__(self) -> str:
        return self.args[0]


class StoppedError(RuntimeError):
    """A run that was asked to stop, and can go on from where it was."""

    def __init__(self, message: str, progress: Any, signal: int = 0):
        """`progress` is the `runs.fit.Progress` when it stopped, `signal` the number of the signal that asked."""
        super().__init__(message, progress, signal)
        self.progress = progress
        self.signal = signal

    def __str__(self) -> str:
        return self.args[0]
