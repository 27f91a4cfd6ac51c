"""Folders of caches: their content is trusted, so they belong to one user, and no other user may write to them."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from genjax_models.errors import InputError

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path) -> None:
    """Makes a folder that only this user may write to; an existing folder is checked.

    Raises:
      InputError: another user owns the folder or may write to it; the error names the permission to set.
      OSError: the folder cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Refuses a folder that another user owns or may write to. A folder that is absent is accepted.

    Raises:
      InputError: names the folder, and the permission to set.
    """
    try:
        status = folder.stat()
    except OSError:  # whoever uses the folder reports it
        return
    if status.st_uid not in (0, os.geteuid()):
        raise InputError(f"{folder}: the cache belongs to another user. Set XDG_CACHE_HOME to a folder of your own")
    if stat.S_ISDIR(status.st_mode) and status.st_mode & _OTHERS_MAY_WRITE:
        raise InputError(f"{folder}: other users may write to the cache. Set its permissions: chmod go-w {folder}")


def opened(file: Path) -> BinaryIO:
    """Opens a file of a cache for reading.

    Raises:
      OSError: it is absent, a link or no regular file, or another user owns it or may write to it.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait for its other end
    status = os.fstat(descriptor)
    if not is_own_file(status) or status.st_mode & _OTHERS_MAY_WRITE:
        os.close(descriptor)
        raise PermissionError(f"{file} is not this user's own file")
    return open(descriptor, "rb")


def is_own_file(status: os.stat_result) -> bool:
    """Returns whether the status is of a regular file that belongs to this user or to root."""
    return stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid())
