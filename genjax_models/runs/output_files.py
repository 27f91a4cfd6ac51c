"""Files that a command writes where the user says. Imports no jax, so that --help is quick."""

import os
from pathlib import Path

from genjax_models.errors import InputError

_BEGINNINGS = {".png": b"\x89PNG\r\n\x1a\n", ".html": b"<!doctype html>", ".npz": b"PK"}


def check_output(path: Path | None, suffix: str, option: str = "--to", *, overwrite: bool = True) -> None:
    """Refuses a path with another suffix than ".png", ".html" or ".npz", or in the place of anything but such a file.

    None, a default that is known later, is accepted. Without `overwrite` a file that exists is refused too.

    Raises:
      InputError: names the option and the path.
    """
    if path is None:
        return
    try:
        if path.is_symlink():
            raise InputError(f"{option} {path}: is a symbolic link; name the file itself")
        if path.exists() and not path.is_file():
            raise InputError(f"{option} {path}: is a {'directory' if path.is_dir() else 'device'}; name a file")
        if path.suffix.lower() != suffix:
            raise InputError(f"{option} {path}: must end in {suffix}")
        if path.exists() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(_BEGINNINGS[suffix])) != _BEGINNINGS[suffix]:
                    raise InputError(f"{option} {path}: exists, and is not a {suffix[1:].upper()} file; name another")
        if path.exists() and not overwrite:
            raise InputError(f"{option} {path}: exists already; name another, or replace it with --overwrite")
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be used ({error.strerror})") from error


def write_output(path: Path, content: bytes, option: str = "--to") -> None:
    """Writes a file, whole or not at all, and makes its folder.

    Raises:
      InputError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            os.replace(partial, path)
        finally:  # a part of it would keep a full disk full
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be written ({error.strerror})") from error
