"""Standard output and standard error that never stop a run."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


class BestEffortStream:
    """A text stream that drops text that cannot be written, so that training continues if the reader ends."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Writes the text if the stream accepts it."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flushes if the stream can be flushed."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def open_streams() -> Iterator[None]:
    """Puts the null device in the place of standard streams that are closed (`>&-`), inside the block."""
    for descriptor in (0, 1, 2):  # otherwise the next file that is opened is taken for the closed stream
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        output, errors = sys.stdout or nothing, sys.stderr or nothing
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            yield


@contextlib.contextmanager
def best_effort_output() -> Iterator[None]:
    """Drops what standard output and standard error cannot take inside the block: closed streams, a full disk."""
    with open_streams():
        streams = [sys.stdout, sys.stderr]
        output, errors = (cast(TextIO, BestEffortStream(stream)) for stream in streams)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                yield
            finally:
                for stream in streams:
                    _drop_unwritten(stream)


def _drop_unwritten(stream: TextIO) -> None:
    """Flushes; if that fails, drops the text, which Python would otherwise try to write when it exits."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            stream.flush()
