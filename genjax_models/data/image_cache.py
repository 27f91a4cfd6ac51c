"""Decodes files of images once, in parallel, into a cache; its keys are digests of files and decoding rule."""

import contextlib
import fcntl
import hashlib
import os
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from genjax_models.data import image, private_folder, records, terminal
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Shape

_AT_ONCE = 1024  # results that wait in memory
_NONE = "at least one image must be readable, got none"

Rule = dict[str, Any]  # the options of `image.decode`


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
        decoded = _decoded(entries, digests, rule, skip_unreadable)
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
        if (cached := records.kept(file)) is not None:
            return cached[0], cached[1]["skipped"]
        try:
            return _written(file, entries, digests, rule, skip_unreadable, channels=1)
        except _ColourError:  # grey images become colour if one is
            return _written(file, entries, digests, rule, skip_unreadable, channels=3)


class _ColourError(Exception):
    """An image in colour, after grey images that were written."""


def _written(
    file: Path, entries: list[Entry], digests: list[bytes], rule: Rule, skip_unreadable: bool, channels: int
) -> tuple[Records, np.ndarray]:
    skipped, first = [], None

    def examples() -> Iterator[np.ndarray]:
        nonlocal channels, first
        with contextlib.closing(_readable(entries, digests, rule, skip_unreadable, skipped)) as readable:
            for i, x in readable:
                if first is None:
                    first, channels = (i, x.shape), max(channels, x.shape[2])
                elif x.shape[2] > channels:
                    raise _ColourError
                _check_size(entries[i], x.shape, entries[first[0]], first[1])
                yield np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:2], channels)))
        if first is None:
            raise InputError(_NONE)

    return records.keep(file, examples(), {"skipped": skipped}), np.array(skipped, np.int64)


def in_parallel(function: Callable, items: Sequence, what: str) -> Generator:
    """Yields the results in the order of `items`, with a progress bar, or in a log a line every half minute.

    It uses threads: Pillow and hashlib release the interpreter's lock, and processes would take time to start.
    """
    pool = ThreadPoolExecutor()
    due, shown = terminal.Every(30), terminal.redraws(sys.stderr)
    title = f"{what} images"
    with tqdm(total=len(items), desc=title, unit="image", dynamic_ncols=True, leave=False, disable=not shown) as bar:
        try:
            for start in range(0, len(items), _AT_ONCE):  # so that few results wait in memory
                for done, result in enumerate(pool.map(function, items[start : start + _AT_ONCE]), start + 1):
                    bar.update()
                    if not shown and due():
                        print(f"{title}: {done:,} of {len(items):,}", file=sys.stderr)
                    yield result
        finally:
            pool.shutdown(cancel_futures=True)  # an error ends the other threads at once


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


def _decoded(entries: list[Entry], digests: list[bytes], rule: Rule, skip_unreadable: bool) -> Decoded:
    images, kept, skipped = [], [], []
    for i, x in _readable(entries, digests, rule, skip_unreadable, skipped):
        images.append(x)
        kept.append(entries[i])
    return Decoded(_stacked(kept, images), np.array(skipped, np.int64))


def _readable(
    entries: list[Entry], digests: list[bytes], rule: Rule, skip_unreadable: bool, skipped: list[int]
) -> Generator[tuple[int, np.ndarray]]:
    """Yields rows and images, in their order; adds the rows of unreadable images to `skipped`."""
    limit = max(1, len(entries) // 100)
    decode = partial(_decode, rule=rule)
    with contextlib.closing(in_parallel(decode, list(zip(entries, digests, strict=True)), "decoding")) as results:
        for i, result in enumerate(results):
            if not isinstance(result, image.UnreadableError):
                yield i, result
                continue
            skipped.append(i)
            if not skip_unreadable:
                raise InputError(
                    f"{entries[i].shown}: cannot be read as an image ({result}). Repair or remove it, or leave it out"
                    " by skip_unreadable=True (--skip-unreadable)"
                ) from result
            if len(skipped) > limit:
                raise InputError(
                    f"{entries[i].shown}: `skip_unreadable` accepts at most {limit} unreadable of {len(entries)}"
                    f" images, got {len(skipped)}; this one has {result}"
                ) from result


def _stacked(entries: list[Entry], images: list[np.ndarray]) -> np.ndarray:
    if not images:
        raise InputError(_NONE)
    height, width, _ = images[0].shape
    for entry, x in zip(entries, images, strict=True):
        _check_size(entry, x.shape, entries[0], images[0].shape)
    stacked = np.empty((len(images), height, width, max(x.shape[2] for x in images)), np.uint8)
    for row, x in zip(stacked, images, strict=True):
        row[...] = x  # grey images become colour if one is
    return stacked


def _check_size(entry: Entry, shape: Shape, first: Entry, shape_of_first: Shape) -> None:
    if shape[:2] != shape_of_first[:2]:
        (height, width), (first_height, first_width) = shape[:2], shape_of_first[:2]
        raise InputError(
            f"{entry.shown}: {width} x {height} pixels, but {first.shown} has {first_width} x {first_height}."
            " Images must have one size with size=None; use size=N (--image-size N) to resize them"
        )


def _decode(entry_and_digest: tuple[Entry, bytes], rule: Rule) -> np.ndarray | image.UnreadableError:
    entry, digest = entry_and_digest
    try:
        with _opened(entry.path) as file:
            if hashlib.file_digest(file, "sha256").digest() != digest:
                raise InputError(f"{entry.shown}: changed while it was being read")
            file.seek(0)
            return image.decode(file, **rule)
    except image.UnreadableError as error:
        return error
    except OSError as error:
        return image.UnreadableError(error.strerror or type(error).__name__)
    except image.TooLargeError as error:
        raise InputError(
            f"{entry.shown}: an image must have at most {rule['max_pixels']} pixels (max_pixels), got {error}"
        ) from error


def _digest(path: bytes) -> bytes:
    try:
        with _opened(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, image.UnreadableError):  # decoding raises the error, with file and reason
        return b""


def _opened(path: bytes):
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for its other end
        raise image.UnreadableError("not a regular file")
    return open(path, "rb")


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
