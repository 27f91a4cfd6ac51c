"""Tables of numbers as vectors: `.csv`, `.tsv` and `.parquet`, read by pyarrow."""

from pathlib import Path
from typing import Any

import numpy as np

from genjax_models.data.arrays import from_arrays
from genjax_models.data.dataset import Dataset, Range
from genjax_models.errors import InputError

SUFFIXES = (".csv", ".tsv", ".parquet")
_LABELS = ("label", "labels", "class", "target", "y")


def load_table(path: Path, *, range: Range | None = None, label: str | None = None) -> Dataset:
    """Returns the rows of a table as vectors `[n, d]`, split by one fixed shuffle (see `data.from_arrays`).

    Text files have a header, unless all of the first row are numbers. One column may hold labels: whole numbers that
    count from 0, or texts, which become the names of the classes. All other columns are numbers.

    Args:
      path: the file.
      range: lowest and highest value; by default (0, 255) for integers up to 255, and (0, 1) for other numbers.
      label: name of the column of labels; by default label, labels, class, target or y, in small or capital letters.

    Raises:
      InputError: pyarrow is not installed, the file is damaged, or a column is no column of numbers. The error names
        row and column.
    """
    table = _read(path)
    names = table.column_names
    if len(set(names)) < len(names):
        raise InputError(f"{path}: columns must have different names, got {names}")
    found = [name for name in names if name.strip().casefold() in _LABELS] if label is None else [label]
    if len(found) > 1:
        raise InputError(f"{path}: one column must hold labels, got {found}. Rename the others")
    if label is not None and label not in names:
        raise InputError(f"{path}: the column of labels must be one of {names}, got {label!r}")
    columns = {name: _numbers(path, name, table[name]) for name in names if name not in found}
    if not columns:
        raise InputError(f"{path}: needs a column of numbers, got {names}")
    return from_arrays(
        np.stack(list(columns.values()), axis=1),
        _labels(path, found[0], table[found[0]]) if found else None,
        range=range,
        name=path.name,
        provenance=f"the table {path}, columns {', '.join(columns)}{f'; labels are {found[0]}' if found else ''}",
    )


def _read(path: Path) -> Any:
    try:
        import pyarrow
        from pyarrow import csv, parquet
    except ImportError as error:
        raise InputError(
            f"{path}: needs pyarrow, which is not installed: pip install 'genjax_models[tables]'"
        ) from error
    try:
        if path.suffix.lower() == ".parquet":
            return parquet.read_table(path)
        parse = csv.ParseOptions(delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        with path.open(encoding="utf-8") as file:
            file.readline(1_000)  # pyarrow would take UTF-16 for a table of one column
        first = csv.open_csv(path, parse_options=parse).schema.names
        return csv.read_csv(
            path, csv.ReadOptions(autogenerate_column_names=all(map(_is_number, first))), parse_options=parse
        )
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: must be text in UTF-8, got byte {error.object[error.start]:#x}. Save it so"
        ) from error
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(path: Path, name: str, column: Any) -> np.ndarray:
    _refuse_missing(path, name, column)
    values = column.to_numpy()
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path}: column {name!r} must hold numbers, got {column.type}. Remove it, or convert it")
    return values


def _labels(path: Path, name: str, column: Any) -> np.ndarray:
    _refuse_missing(path, name, column)
    values = column.to_numpy()
    if values.dtype.kind == "f" and (values == np.round(values)).all():  # as numpy.savetxt writes integers
        return values.astype(np.int64)
    if values.dtype != object:
        return values
    try:
        return np.array([value.decode() if isinstance(value, bytes) else str(value) for value in values])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: column {name!r} must be text in UTF-8, got {error.object}. Save it so") from error


def _refuse_missing(path: Path, name: str, column: Any) -> None:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise InputError(f"{path}: column {name!r} has no value in row {row}. Fill it, or remove the row")
