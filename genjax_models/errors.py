"""Errors whose message is one line that a user can act on."""

from typing import Any


class InputError(ValueError):
    """An invalid value. The message names the value, its source and the accepted values."""


class CheckpointError(RuntimeError):
    """A checkpoint that is absent, damaged or of another run. The message names the file and the difference."""


class DamagedError(CheckpointError):
    """A checkpoint that was changed after it was written. The message names the file."""


class ProcessError(RuntimeError):
    """Another process of the run has failed or ended. The message names this process and the known cause."""


class NonFiniteError(ArithmeticError):
    """A loss or a gradient that is not finite. The message names the step and the player.

    `progress` is the `runs.history.Progress` before the step that failed.
    """

    def __init__(self, message: str, progress: Any):
        """Keeps the progress with the message."""
        super().__init__(message, progress)
        self.progress = progress

    def __str__(self) -> str:
        return self.args[0]


class StoppedError(RuntimeError):
    """A run that stopped on request and can be resumed.

    `progress` is the `runs.history.Progress` at the stop, `signal` the number of the signal that requested it.
    """

    def __init__(self, message: str, progress: Any, signal: int = 0):
        """Keeps the progress and the signal with the message."""
        super().__init__(message, progress, signal)
        self.progress = progress
        self.signal = signal

    def __str__(self) -> str:
        return self.args[0]
