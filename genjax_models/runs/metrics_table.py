"""`metrics.csv`: the rows of `metrics.jsonl` as one table, with a column per metric."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genjax_models.runs.directory import write_text


class MetricsTable:
    """The table of a run on disk; only this process writes it. A metric that a row lacks is an empty cell."""

    def __init__(self, path: Path):
        self.path, self._rows, self._columns = path, [], []

    def begin(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes a table of these rows, and no others."""
        self._rows, self._columns = list(rows), list(dict.fromkeys(name for row in rows for name in row))
        header = dict(zip(self._columns, self._columns, strict=True))
        write_text(self.path, _text([header, *rows] if rows else [], self._columns))

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row. A row with a new metric needs a new header: the table is then written anew."""
        if not set(row) <= set(self._columns):
            self.begin([*self._rows, row])
            return
        self._rows.append(row)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(_text([row], self._columns))


def _text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue()
