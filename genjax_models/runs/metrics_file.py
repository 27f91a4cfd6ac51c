"""`metrics.jsonl`: a row per line, whose digest is in the manifests of checkpoints; and the table `metrics.csv`."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.directory import sync, write_text
from genjax_models.runs.metrics_table import MetricsTable


class MetricsFile:
    """The rows of a run on disk; only this process writes them."""

    def __init__(self, path: Path):
        self.path, self.count, self._hash = path, 0, hashlib.sha256()
        self._table = MetricsTable(path.with_suffix(".csv"))

    @property
    def digest(self) -> str:
        """The sha256 of all lines."""
        return self._hash.hexdigest()

    def begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes these rows, and no others."""
        lines = [_line(row) for row in rows]
        write_text(self.path, "".join(lines))
        self.count, self._hash = len(lines), hashlib.sha256("".join(lines).encode())
        self._table.begin(rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(_line(row))
        self.count += 1
        self._hash.update(_line(row).encode())
        self._table.append(row)

    def sync(self) -> None:
        """Waits until the rows are on disk."""
        if self.path.exists():
            sync(self.path)


def read_rows(path: Path, count: int | None = None) -> list[dict[str, Any]]:
    """Returns the first `count` rows, or all, without a last line that is not complete yet.

    Raises:
      InputError: a row is no JSON object; names the line.
    """
    rows = []
    for number, line in enumerate(_whole_lines(path)[:count], start=1):
        try:
            row = json.loads(line)
            if not (isinstance(row["step"], int) and isinstance(row["split"], str)):
                raise TypeError("step must be an integer and split a text")
            check_numbers(row)
            rows.append(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: line {number} is damaged ({type(error).__name__}: {error})") from error
    return rows


def check_numbers(row: Mapping[str, Any]) -> None:
    """Raises TypeError unless all fields of a row but `split` are numbers."""
    for name, value in row.items():
        if name != "split" and not isinstance(value, int | float):
            raise TypeError(f"{name} must be a number, got {value!r}")


def digest_of_rows(path: Path, count: int) -> tuple[int, str]:
    """Returns how many of the first `count` lines are there, whole, and their sha256."""
    lines = _whole_lines(path)[:count]
    return len(lines), hashlib.sha256(b"".join(lines)).hexdigest()


def _whole_lines(path: Path) -> list[bytes]:
    """Returns the lines that end; a process that was killed may have left a part of the last line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row) + "\n"
