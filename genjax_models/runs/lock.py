"""One run directory belongs to one process."""

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
    """Holds `folder` for this process; the system lets go of it however the process ends, SIGKILL included.

    Raises:
      InputError: another process holds it; names that process.
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
