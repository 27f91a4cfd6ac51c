"""Locks a run directory, so that only one process uses it."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from genjax_models.errors import InputError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks `folder` inside the block. The operating system releases the lock if the process ends, even by SIGKILL.

    Raises:
      InputError: another process holds the lock; names that process.
    """
    with (folder / NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            raise InputError(f"{folder}: is in use by {owner}") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        yield
