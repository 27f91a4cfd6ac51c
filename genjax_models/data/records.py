"""Examples in a file, in place of an array: written once, then read and checked row by row on demand."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from genjax_models.data import private_folder
from genjax_models.errors import InputError
from genjax_models.types import Shape


@dataclasses.dataclass(frozen=True, eq=False)
class Records:
    """Rows of a file of n examples, uint8 `[m, *shape_of_one]`; memory holds 42 bytes for each example.

    `records[rows]` selects rows without reading them; `np.asarray` reads.

    Attributes:
      file: file of the examples.
      shape_of_one: shape of one example.
      sha256: digest of each example of the file, `[n, 32]`.
      low: lowest value of each example of the file, `[n]`.
      high: highest value of each example of the file, `[n]`.
      rows: the selected rows of the file, `[m]`.
    """

    file: Path
    shape_of_one: Shape
    sha256: np.ndarray
    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows) -> "Records":
        return dataclasses.replace(self, rows=self.rows[np.asarray(rows) if isinstance(rows, list) else rows])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.read(slice(None)).astype(dtype or np.uint8, copy=False)

    @property
    def shape(self) -> Shape:
        """Returns the shape, `[m, *shape_of_one]`."""
        return len(self.rows), *self.shape_of_one

    @property
    def ndim(self) -> int:
        """Returns the number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """Returns uint8."""
        return np.dtype(np.uint8)

    @property
    def nbytes(self) -> int:
        """Returns the number of bytes on disk."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def digests(self) -> Iterator[bytes]:
        """Yields the sha256 of each example's bytes."""
        return (self.sha256[row].tobytes() for row in self.rows)

    def min(self) -> int:
        """Returns the lowest value, without reading the file."""
        return self.low[self.rows].min()

    def max(self) -> int:
        """Returns the highest value, without reading the file."""
        return self.high[self.rows].max()

    def outside(self, low: float, high: float) -> np.ndarray:
        """Returns whether each example has values below `low` or above `high`, `[m]`."""
        return (self.low[self.rows] < low) | (self.high[self.rows] > high)

    def read(self, rows) -> np.ndarray:
        """Reads the examples of these rows, uint8 `[len(rows), *shape_of_one]`. Safe in several threads.

        The file is not mapped into memory: there a failed read would end the process without an error.

        Raises:
          InputError: an example is damaged or cannot be read. The error names the file and the example.
        """
        rows_of_file = self.rows[rows]
        x = np.empty((len(rows_of_file), *self.shape_of_one), np.uint8)
        size = x[:1].nbytes
        try:
            with private_folder.opened(self.file) as opened:
                for one, row in zip(x, rows_of_file.tolist(), strict=True):
                    read = os.preadv(opened.fileno(), [one], row * size)
                    if read < size or hashlib.sha256(one).digest() != self.sha256[row].tobytes():
                        raise InputError(
                            f"{self.file}: example {row} is damaged. Remove this file; the next run decodes it again"
                        )
        except OSError as error:
            raise InputError(f"{self.file}: cannot be read ({error.strerror or error})") from error
        return x


def kept(file: Path) -> tuple[Records, dict[str, np.ndarray]] | None:
    """Returns the records that `keep` wrote as `file`, and their columns; None if they are absent or incomplete."""
    try:
        with private_folder.opened(_index(file)) as opened, np.load(opened, allow_pickle=False) as arrays:
            columns = dict(arrays)
        with private_folder.opened(file) as opened:
            size = os.fstat(opened.fileno()).st_size
        key = str(columns.pop("key"))
        shape, sha256 = tuple(columns.pop("shape").tolist()), columns.pop("sha256")
        records = Records(file, shape, sha256, columns.pop("low"), columns.pop("high"), np.arange(len(sha256)))
        return (records, columns) if size == records.nbytes and key == file.stem else None
    except Exception:  # numpy and zipfile raise a dozen kinds of errors on damaged bytes
        return None


def keep(file: Path, examples: Iterable[np.ndarray], columns: Mapping[str, list[int]] = {}) -> Records:
    """Writes examples one by one, so that they are never all in memory, and an index with the suffix `.npz`.

    A process that is killed leaves a `.tmp` file, never a part of `file`.

    Args:
      file: file to write.
      examples: uint8 arrays of one shape.
      columns: name -> integers, stored with the examples. The lists may grow while the examples are read.

    Raises:
      InputError: the file cannot be written. The error says how to choose another folder.
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
        stored_columns = {name: np.array(column, np.int64) for name, column in columns.items()}
        with _whole(_index(file)) as opened:
            stored = {"key": np.array(file.stem), "shape": np.array(shape), **of_each, **stored_columns}
            np.savez(opened, **stored)  # pyright: ignore[reportArgumentType]
    except OSError as error:
        raise InputError(
            f"{file.parent}: decoded images cannot be kept there ({error.strerror or error}), but streaming reads"
            " them from disk. Set XDG_CACHE_HOME to another folder"
        ) from error
    return Records(file, shape, **of_each, rows=np.arange(len(low)))


def _index(file: Path) -> Path:
    return file.with_suffix(".npz")


@contextlib.contextmanager
def _whole(file: Path) -> Iterator:
    private_folder.make_private(file.parent)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f"{file.stem}.", suffix=".tmp", delete=False) as temporary:
        try:
            fcntl.flock(temporary, fcntl.LOCK_EX)  # `image_cache` removes files without a lock
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            os.replace(temporary.name, file)
        except BaseException:
            os.unlink(temporary.name)
            raise
