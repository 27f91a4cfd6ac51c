"""Errors that a person is meant to read: one line each."""

from typing import Any


class InputError(ValueError):
    """A value that cannot be used: names it, where it came from and what is accepted."""


class CheckpointError(RuntimeError):
    """A checkpoint that is absent, damaged or of something else: names the file and what differs."""


class NonFiniteError(ArithmeticError):
    """A loss or a gradient that was not finite: names the step and the player, and carries the last finite state."""

    def __init__(self, message: str, state: Any):
        """`state` is the `TrainState` before the step that failed."""
        super().__init__(message)
        self.state = state
