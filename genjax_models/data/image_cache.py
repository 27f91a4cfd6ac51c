"""Files of images -> pixels: decoded once, in parallel, into a cache keyed by what they hold and by the rule."""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from genjax_models.data import image, records
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Shape

_AT_ONCE = 1024
_NONE = "no image can be read, at least one is needed"

Rule = dict[str, Any]  # the options of `image.decode`


class Entry(NamedTuple):
    """A file. Names are bytes, which sort the same under every locale. `label` is b"" without classes."""

    split: str
    label: bytes
    name: bytes
    path: bytes

    @property
    def shown(self) -> str:
        """The path as text on one line."""
        return shown(self.path)


class Decoded(NamedTuple):
    """`x` uint8 `[n, height, width, channels]` of all files in their order, without the rows `skipped`."""

    x: np.ndarray
    skipped: np.ndarray


def shown(path: bytes) -> str:
    r"""A path as text on one line: bytes that are no UTF-8, and characters that do not print, as `\xff`, `\n`."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def decoded_once(entries: list[Entry], rule: Rule, *, skip_unreadable: bool, cache: Path | None) -> Decoded:
    """Pixels of `entries`, from the cache where the same files were decoded by the same rule before.

    The key is the sha256 of names, contents and rule. A damaged file of the cache is made again: its checksums tell.

    Raises:
      InputError: names a file that is too large, or cannot be read and must not be skipped.
    """
    with warnings.catch_warnings(action="ignore"):  # Pillow's, on what it repairs; once, around all threads
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
    """As `decoded_once`, for pixels that stay on disk, as they are: they are never all in memory.

    Raises:
      InputError: as `decoded_once`; there is no place for them, or too little of it.
    """
    cache = cleaned(cache)
    with warnings.catch_warnings(action="ignore"):
        digests = list(in_parallel(_digest, [entry.path for entry in entries], "reading"))
        file = cache / f"{_key(entries, digests, rule, skip_unreadable)}.records"
        if (found := records.kept(file)) is not None:
            return found[0], found[1]["skipped"]
        try:
            return _written(file, entries, digests, rule, skip_unreadable, channels=1)
        except _ColourError:  # grey becomes colour where others are
            return _written(file, entries, digests, rule, skip_unreadable, channels=3)


class _ColourError(Exception):
    """An image in colour, behind grey ones that were written."""


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
    """Results in the order of `items`, with a progress bar.

    Threads: Pillow and hashlib let go of the interpreter, and processes would have to be spawned.
    """
    pool = ThreadPoolExecutor()
    with tqdm(total=len(items), desc=f"{what} images", unit="image", dynamic_ncols=True, leave=False) as bar:
        try:
            for start in range(0, len(items), _AT_ONCE):  # not all at once: results are small, what waits need not be
                for result in pool.map(function, items[start : start + _AT_ONCE]):
                    bar.update()
                    yield result
        finally:
            pool.shutdown(cancel_futures=True)  # an error ends it at once


def cleaned(cache: Path | None) -> Path:
    """The folder, without what killed processes left there, for what must have one.

    Raises:
      InputError: there is none.
    """
    if cache is None:
        raise InputError("streaming reads decoded images from a cache, and there is no home for it: set XDG_CACHE_HOME")
    _clean(cache)
    return cache


def default_folder() -> Path | None:
    """Returns `genjax_models/images` in `$XDG_CACHE_HOME` or `~/.cache`; None without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genjax_models" / "images"
    except RuntimeError:
        return None


def _key(entries: list[Entry], digests: list[bytes], rule: Rule, skip_unreadable: bool) -> str:
    key = hashlib.sha256(f"genjax_models images 1 {sorted(rule.items())} {skip_unreadable}".encode())
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
    """Rows and images, in their order; the rows of those that cannot be read are added to `skipped`."""
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
                    f"{entries[i].shown}: cannot be read as an image ({result}); repair or remove it, or leave it out"
                    " by skip_unreadable=True (--skip-unreadable)"
                ) from result
            if len(skipped) > limit:
                raise InputError(
                    f"{entries[i].shown}: cannot be read as an image ({result}), nor can {len(skipped) - 1} before it;"
                    f" skip_unreadable accepts at most {limit} of {len(entries)} images"
                ) from result


def _stacked(entries: list[Entry], images: list[np.ndarray]) -> np.ndarray:
    if not images:
        raise InputError(_NONE)
    height, width, _ = images[0].shape
    for entry, x in zip(entries, images, strict=True):
        _check_size(entry, x.shape, entries[0], images[0].shape)
    stacked = np.empty((len(images), height, width, max(x.shape[2] for x in images)), np.uint8)
    for row, x in zip(stacked, images, strict=True):
        row[...] = x  # grey becomes colour where others are
    return stacked


def _check_size(entry: Entry, shape: Shape, first: Entry, shape_of_first: Shape) -> None:
    if shape[:2] != shape_of_first[:2]:
        (height, width), (wanted_height, wanted_width) = shape[:2], shape_of_first[:2]
        raise InputError(
            f"{entry.shown}: {width} x {height} pixels, but {first.shown} has {wanted_width} x {wanted_height};"
            " size=None accepts images of one size, a number resizes them"
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
            f"{entry.shown}: an image of {error}; accepted are at most {rule['max_pixels']} (max_pixels)"
        ) from error


def _digest(path: bytes) -> bytes:
    try:
        with _opened(path) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, image.UnreadableError):  # decoding says which file, and why
        return b""


def _opened(path: bytes):
    if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for its other end
        raise image.UnreadableError("no regular file")
    return open(path, "rb")


def _from_cache(file: Path, files: int) -> Decoded | None:
    """The cached images; None if the file is absent or damaged, by the checksums of the archive."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            decoded = Decoded(arrays["x"], arrays["skipped"])
    except Exception:  # numpy and zipfile raise a dozen kinds on damaged bytes
        return None
    x, skipped = decoded
    sound = x.dtype == np.uint8 and x.ndim == 4 and skipped.dtype == np.int64 and len(x) + skipped.size == files
    return decoded if sound else None


def _keep(file: Path, decoded: Decoded) -> None:
    """Whole or not at all: a run that is killed leaves a `.tmp` behind, never read and removed by the next."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=file.parent, prefix=f"{file.stem}.", suffix=".tmp", delete=False
        ) as temporary:
            try:
                fcntl.flock(temporary, fcntl.LOCK_EX)  # which the system lets go of, however the process ends
                np.savez(temporary, **decoded._asdict())
                temporary.flush()
                os.fsync(temporary.fileno())
                os.replace(temporary.name, file)
            except BaseException:
                os.unlink(temporary.name)
                raise
    except OSError as error:
        warnings.warn(f"{file.parent}: decoded images are not kept ({error}), the next run decodes again", stacklevel=3)


def _clean(folder: Path) -> None:
    """Removes what processes that were killed left of a write: files of ours that nobody holds any more."""
    for leftover in folder.glob("[0-9a-f]" * 64 + ".*.tmp"):
        with contextlib.suppress(OSError), leftover.open("rb") as file:  # in use, or gone by now
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()
