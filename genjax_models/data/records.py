"""Examples in a file, in place of an array: written once, read by row when they are wanted, and checked as they are."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from genjax_models.errors import InputError
from genjax_models.types import Shape


@dataclasses.dataclass(frozen=True, eq=False)
class Records:
    """Examples uint8 `[n, *shape]`, of which memory holds 42 bytes each: a digest, the least and the greatest value,
    and where it stands. `records[rows]` are some of them, and are read no more than these; `np.asarray` reads.
    """

    file: Path
    shape_of_one: Shape
    sha256: np.ndarray
    """`[n, 32]`, of each example of the file."""
    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    """`[m]`: which of them these are."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows) -> "Records":
        return dataclasses.replace(self, rows=self.rows[np.asarray(rows) if isinstance(rows, list) else rows])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.read(slice(None)).astype(dtype or np.uint8, copy=False)

    @property
    def shape(self) -> Shape:
        """Shape `[m, *shape_of_one]`."""
        return len(self.rows), *self.shape_of_one

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """On disk."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def digests(self) -> list[bytes]:
        """sha256 of each example's bytes."""
        return [digest.tobytes() for digest in self.sha256[self.rows]]

    def min(self) -> int:
        """The least value; nothing is read."""
        return self.low[self.rows].min()

    def max(self) -> int:
        """The greatest value; nothing is read."""
        return self.high[self.rows].max()

    def outside(self, low: float, high: float) -> np.ndarray:
        """`[m]`: whether an example has values beyond these."""
        return (self.low[self.rows] < low) | (self.high[self.rows] > high)

    def read(self, rows) -> np.ndarray:
        """The examples of these rows, uint8 `[len(rows), *shape]`. Safe in several threads.

        A read that fails is an error with a name; of a file that is mapped into memory it would end the process.

        Raises:
          InputError: names the file and the example that cannot be read or is damaged.
        """
        wanted = self.rows[rows]
        x = np.empty((len(wanted), *self.shape_of_one), np.uint8)
        size = x[:1].nbytes
        try:
            with self.file.open("rb", buffering=0) as opened:
                for one, row in zip(x, wanted.tolist(), strict=True):
                    read = os.preadv(opened.fileno(), [one], row * size)
                    if read < size or hashlib.sha256(one).digest() != self.sha256[row].tobytes():
                        raise InputError(
                            f"{self.file}: example {row} is damaged; remove this file, and the next run decodes anew"
                        )
        except OSError as error:
            raise InputError(f"{self.file}: cannot be read ({error.strerror or error})") from error
        return x


def kept(file: Path) -> tuple[Records, dict[str, np.ndarray]] | None:
    """Returns the records that `keep` wrote, and their columns; None if the file is absent or incomplete."""
    try:
        with _index(file).open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            columns = dict(arrays)
        shape, sha256 = tuple(columns.pop("shape").tolist()), columns.pop("sha256")
        found = Records(file, shape, sha256, columns.pop("low"), columns.pop("high"), np.arange(len(sha256)))
        return (found, columns) if file.stat().st_size == found.nbytes else None
    except Exception:  # numpy and zipfile raise a dozen kinds on damaged bytes
        return None


def keep(file: Path, examples: Iterable[np.ndarray], columns: Mapping[str, list[int]] = {}) -> Records:
    """Writes examples, uint8 of one shape, as they come: never are they all in memory.

    Beside `file` stands its index, `.npz`. Whole or not at all: a process that is killed leaves a `.tmp` behind.

    Args:
      file: to be written.
      examples: uint8 of one shape.
      columns: name -> integers, stored with the examples; lists that may grow as the examples come.

    Raises:
      InputError: they cannot be kept there, and what would help.
    """
    sha256, low, high, shape = bytearray(), bytearray(), bytearray(), ()
    try:
        with _whole(file) as opened:
            for x in examples:
                shape = x.shape
                sha256 += hashlib.sha256(x).digest()  # pyright: ignore[reportArgumentType]
                low.append(x.min())
                high.append(x.max())
                opened.write(x)
        of_each = {
            "sha256": np.frombuffer(sha256, np.uint8).reshape(-1, 32),
            "low": np.frombuffer(low, np.uint8),
            "high": np.frombuffer(high, np.uint8),
        }
        beside = {name: np.array(column, np.int64) for name, column in columns.items()}
        with _whole(_index(file)) as opened:
            np.savez(opened, shape=np.array(shape), **of_each, **beside)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(
            f"{file.parent}: decoded images cannot be kept there ({error.strerror or error}), and streaming reads"
            " them from disk; XDG_CACHE_HOME names another place"
        ) from error
    return Records(file, shape, **of_each, rows=np.arange(len(low)))


def _index(file: Path) -> Path:
    return file.with_suffix(".npz")


@contextlib.contextmanager
def _whole(file: Path) -> Iterator:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.stem}.", suffix=".tmp", delete=False) as temporary:
        try:
            fcntl.flock(temporary, fcntl.LOCK_EX)  # held while it is in use; `image_cache` removes what nobody holds
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            os.replace(temporary.name, file)
        except BaseException:
            os.unlink(temporary.name)
            raise
