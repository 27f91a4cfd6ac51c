"""Locks a run directory, so that only one process uses it."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from genjax_models.errors import InputError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Callable[[], None]]:
    """Locks `folder` inside the block; yields a function that checks that the lock still holds.

    The operating system releases the lock if the process ends, even by SIGKILL. The check raises OSError if the folder
    was moved or replaced: another process may then write to its path.

    Raises:
      InputError: another process holds the lock (names that process), or the file of the lock cannot be opened.
    """
    path = folder / NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    with open(descriptor, "r+", encoding="utf-8", errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = file.read().strip() or "another process"
            raise InputError(f"{folder}: is in use by {owner}") from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}\n")
        file.flush()
        own = os.fstat(file.fileno())

        def check() -> None:
            try:
                same = os.path.samestat(os.lstat(path), own)
            except FileNotFoundError:
                same = False
            if not same:
                raise OSError(f"{folder}: was moved or replaced since this run began; nothing more is written")

        yield check
