"""Keeps decoded files of images in a cache, whose keys are digests of the files and the decoding rule."""

import contextlib
import fcntl
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from genjax_models.data import image, private_folder
from genjax_models.data.image_decoding import Rule, Stored, in_memory, in_parallel, on_disk
from genjax_models.data.records import Records
from genjax_models.errors import InputError


class Entry(NamedTuple):
    """An image file. Names are bytes, which sort the same under every locale. `label` is b"" without classes."""

    split: str
    label: bytes
    name: bytes
    path: bytes

    @property
    def shown(self) -> str:
        """Returns the path as text on one line."""
        return shown(self.path)


class Decoded(NamedTuple):
    """Images `x` uint8 `[n, height, width, channels]` of all files in their order, without the rows `skipped`."""

    x: np.ndarray
    skipped: np.ndarray


def shown(path: bytes) -> str:
    r"""Returns a path as text on one line; bytes that are not UTF-8 or do not print become `\xff`, `\n`."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def decoded_once(entries: list[Entry], rule: Rule, *, skip_unreadable: bool, cache: Path | None) -> Decoded:
    """Returns the pixels of `entries`, from the cache if the same files were decoded by the same rule before.

    The key is the sha256 of names, contents and rule. A file of the cache that has a wrong checksum or another key, is
    a link, or belongs to another user, is written again.

    Raises:
      InputError: a file is too large, or cannot be read and must not be skipped; the error names it. Or another user
        may write to the cache.
    """
    if cache:
        private_folder.check_private(cache)
    with warnings.catch_warnings(action="ignore"):  # Pillow's warnings of repairs; set once, around all threads
        digests = list(in_parallel(_digest, [entry.path for entry in entries], "reading"))
        file = cache and cache / f"{_key(entries, digests, rule, skip_unreadable)}.npz"
        if cache:
            _clean(cache)
        kept = file and _from_cache(file, len(entries))
        if kept is not None:
            return kept
        decoded = Decoded(*in_memory(_stored(entries, digests), rule, skip_unreadable=skip_unreadable))
    if file:
        _keep(file, decoded)
    return decoded


def decoded_to_disk(
    entries: list[Entry], rule: Rule, *, skip_unreadable: bool, cache: Path | None
) -> tuple[Records, np.ndarray]:
    """Returns the pixels of `entries` as records on disk, which are never all in memory, and the skipped rows.

    Raises:
      InputError: as `decoded_once`; or the cache has no folder, or too little space.
    """
    cache = cleaned(cache)
    with warnings.catch_warnings(action="ignore"):
        digests = list(in_parallel(_digest, [entry.path for entry in entries], "reading"))
        file = cache / f"{_key(entries, digests, rule, skip_unreadable)}.records"
        return on_disk(file, _stored(entries, digests), rule, skip_unreadable=skip_unreadable)


def cleaned(cache: Path | None) -> Path:
    """Returns the folder of the cache, without the leftovers of killed processes.

    Raises:
      InputError: `cache` is None, or another user may write to it.
    """
    if cache is None:
        raise InputError("streaming needs a folder for decoded images, and the user has no home: set XDG_CACHE_HOME")
    private_folder.check_private(cache)
    _clean(cache)
    return cache


def default_folder() -> Path | None:
    """Returns `genjax_models/images` in `$XDG_CACHE_HOME` or `~/.cache`; None without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genjax_models" / "images"
    except RuntimeError:
        return None


def _key(entries: list[Entry], digests: list[bytes], rule: Rule, skip_unreadable: bool) -> str:
    key = hashlib.sha256(f"genjax_models images 2 {sorted(rule.items())} {skip_unreadable}".encode())
    for entry, digest in zip(entries, digests, strict=True):
        for part in (entry.split.encode(), entry.label, entry.name, digest):
            key.update(len(part).to_bytes(8, "big") + part)
    return key.hexdigest()


def _stored(entries: list[Entry], digests: list[bytes]) -> Stored:
    @contextlib.contextmanager
    def opened(i: int) -> Iterator[IO[bytes]]:
        with image.opened(entries[i].path) as file:
            if hashlib.file_digest(file, "sha256").digest() != digests[i]:
                raise InputError(f"{entries[i].shown}: changed while it was being read")
            file.seek(0)
            yield file

    return Stored(len(entries), lambda i: entries[i].shown, opened)


def _digest(path: bytes) -> bytes:
    try:
        with image.opened(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, image.UnreadableError):  # decoding raises the error, with file and reason
        return b""


def _from_cache(file: Path, files: int) -> Decoded | None:
    """Returns the cached images; None if the file is absent, has another key, or is damaged by its checksums."""
    try:
        with private_folder.opened(file) as opened, np.load(opened, allow_pickle=False) as arrays:
            decoded, key = Decoded(arrays["x"], arrays["skipped"]), str(arrays["key"])
    except Exception:  # numpy and zipfile raise a dozen kinds of errors on damaged bytes
        return None
    x, skipped = decoded
    sound = x.dtype == np.uint8 and x.ndim == 4 and skipped.dtype == np.int64 and len(x) + skipped.size == files
    sound = sound and key == file.stem
    return decoded if sound else None


def _keep(file: Path, decoded: Decoded) -> None:
    """Writes the images to the cache; a run that is killed leaves a `.tmp` file, which the next run removes."""
    try:
        private_folder.make_private(file.parent)
        with tempfile.NamedTemporaryFile(
            dir=file.parent, prefix=f"{file.stem}.", suffix=".tmp", delete=False
        ) as temporary:
            try:
                fcntl.flock(temporary, fcntl.LOCK_EX)  # the system releases the lock when the process ends
                np.savez(temporary, **decoded._asdict(), key=np.array(file.stem))
                temporary.flush()
                os.fsync(temporary.fileno())
                os.replace(temporary.name, file)
            except BaseException:
                os.unlink(temporary.name)
                raise
    except OSError as error:
        warnings.warn(f"{file.parent}: decoded images are not kept ({error}); the next run decodes again", stacklevel=3)


def _clean(folder: Path) -> None:
    """Removes the files that killed processes left: our `.tmp` files without a lock."""
    for leftover in folder.glob("[0-9a-f]" * 64 + ".*.tmp"):
        with (
            contextlib.suppress(OSError),
            private_folder.opened(leftover) as file,
        ):  # in use, or removed by another process
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
