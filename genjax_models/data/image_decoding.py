"""Decodes stored images in parallel, into an array or into a file of records; skips unreadable ones if asked."""

import contextlib
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from genjax_models.data import image, records, terminal
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Shape

_AT_ONCE = 1024  # results that wait in memory

Rule = dict[str, Any]  # the options of `image.decode`


class Stored(NamedTuple):
    """Images that are not decoded yet.

    Attributes:
      count: their number.
      name: row -> name of the image, for errors.
      opened: row -> context that yields the image as a file.
    """

    count: int
    name: Callable[[int], str]
    opened: Callable[[int], AbstractContextManager[IO[bytes]]]


class _ColourError(Exception):
    """An image in colour, after grey images that were written."""


def in_memory(stored: Stored, rule: Rule, *, skip_unreadable: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images, uint8 `[n, height, width, channels]`, and the rows of unreadable images, which are skipped.

    Grey images become colour if one is.

    Raises:
      InputError: names the image: it is too large, has another size than the first one, or cannot be read and must not
        be skipped. Or no image can be read.
    """
    skipped = []
    images = list(_readable(stored, rule, skip_unreadable, skipped))
    stacked = np.empty((len(images), *images[0].shape[:2], max(x.shape[2] for x in images)), np.uint8)
    for row, x in zip(stacked, images, strict=True):
        row[...] = x
    return stacked, np.array(skipped, np.int64)


def on_disk(file: Path, stored: Stored, rule: Rule, *, skip_unreadable: bool) -> tuple[Records, np.ndarray]:
    """Returns the same as `in_memory`, as records in `file`, which are never all in memory.

    If the file holds them already, nothing is decoded: its name must be a digest of the images and the options.

    Raises:
      InputError: as `in_memory`; or the file cannot be written.
    """
    if (cached := records.kept(file)) is not None:
        return cached[0], cached[1]["skipped"]
    try:
        return _written(file, stored, rule, skip_unreadable, channels=1)
    except _ColourError:
        return _written(file, stored, rule, skip_unreadable, channels=3)


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


def _written(
    file: Path, stored: Stored, rule: Rule, skip_unreadable: bool, channels: int
) -> tuple[Records, np.ndarray]:
    skipped, written = [], 0

    def examples() -> Iterator[np.ndarray]:
        nonlocal channels, written
        with contextlib.closing(_readable(stored, rule, skip_unreadable, skipped)) as readable:
            for x in readable:
                if x.shape[2] > channels and written:
                    raise _ColourError
                channels, written = max(channels, x.shape[2]), written + 1
                yield np.ascontiguousarray(np.broadcast_to(x, (*x.shape[:2], channels)))

    return records.keep(file, examples(), {"skipped": skipped}), np.array(skipped, np.int64)


def _readable(stored: Stored, rule: Rule, skip_unreadable: bool, skipped: list[int]) -> Generator[np.ndarray]:
    """Yields the images in their order, at least one; adds the rows of unreadable images to `skipped`."""
    limit, first = max(1, stored.count // 100), None
    with contextlib.closing(in_parallel(partial(_decoded, stored, rule), range(stored.count), "decoding")) as results:
        for i, result in enumerate(results):
            if not isinstance(result, image.UnreadableError):
                first = first or (stored.name(i), result.shape)
                _check_size(stored.name(i), result.shape, *first)
                yield result
                continue
            skipped.append(i)
            if not skip_unreadable:
                raise InputError(
                    f"{stored.name(i)}: cannot be read as an image ({result}). Repair or remove it, or leave it out by"
                    " skip_unreadable=True (--skip-unreadable)"
                ) from result
            if len(skipped) > limit:
                raise InputError(
                    f"{stored.name(i)}: `skip_unreadable` accepts at most {limit} unreadable of {stored.count} images,"
                    f" got {len(skipped)}; this one has {result}"
                ) from result
    if first is None:
        raise InputError("at least one image must be readable, got none")


def _decoded(stored: Stored, rule: Rule, i: int) -> np.ndarray | image.UnreadableError:
    try:
        with stored.opened(i) as file:
            return image.decode(file, **rule)
    except image.UnreadableError as error:
        return error
    except OSError as error:
        return image.UnreadableError(error.strerror or type(error).__name__)
    except image.TooLargeError as error:
        raise InputError(
            f"{stored.name(i)}: an image must have at most {rule['max_pixels']} pixels (max_pixels), got {error}"
        ) from error


def _check_size(name: str, shape: Shape, first: str, shape_of_first: Shape) -> None:
    if shape[:2] != shape_of_first[:2]:
        (height, width), (first_height, first_width) = shape[:2], shape_of_first[:2]
        raise InputError(
            f"{name}: {width} x {height} pixels, but {first} has {first_width} x {first_height}."
            " Images must have one size with size=None; use size=N (--image-size N) to resize them"
        )
