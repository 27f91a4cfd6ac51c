"""The tables of a Hugging Face data set on this disk, by split: from `save_to_disk` or parquet files."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genjax_models.data.split_names import splits_of
from genjax_models.errors import InputError

_SHARD = re.compile(r"-\d+-of-\d+$")
_LAYOUTS = "a folder of `save_to_disk`, a .parquet file, or a folder of .parquet files"


def located(where: str, spec: str) -> tuple[Path, dict[str, Any], str | None]:
    """Returns the path, the table of each split, and the split that the spec names; "" is the only table.

    Args:
      where: begins the errors.
      spec: `PATH[:SPLIT]`.

    Raises:
      InputError: `datasets` is not installed, or the path or the split is absent or damaged.
    """
    path, split = Path(spec).expanduser(), None
    try:
        if not path.exists() and ":" in spec:
            before, _, split = spec.rpartition(":")
            path = Path(before).expanduser()
        if not path.exists():
            raise InputError(f"{where}: no file or folder {str(path)!r}; accepted are {_LAYOUTS}")
        tables = _tables(where, path)
    except (OSError, RuntimeError) as error:  # no permission, a name too long, a user without a home
        raise InputError(f"{where}: cannot be read ({error})") from error
    if split is not None and split not in tables:
        raise InputError(f"{where}: no split {split!r}; accepted are {', '.join(tables).strip() or 'none'}")
    return path, tables, split


def _tables(where: str, path: Path) -> dict[str, Any]:
    datasets = _library(where)
    if path.is_dir() and ((path / "dataset_dict.json").is_file() or (path / "state.json").is_file()):
        try:
            loaded = datasets.load_from_disk(str(path))
        except Exception as error:  # the library raises errors of JSON, of pyarrow and of its own
            raise InputError(f"{where}: {path} is damaged ({line_of(error)})") from error
        return dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.suffix.lower() == ".parquet" for file in files):
        raise InputError(f"{where}: accepted are {_LAYOUTS}, got {path}")
    return {name: _of_parquet(where, datasets, group) for name, group in _grouped(where, path, files).items()}


def _grouped(where: str, path: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Returns the files of each split, which is said by the name of the file or of its folder."""
    if path.is_file():
        return {"": list(files)}
    groups: dict[str, list[Path]] = {}
    for file in files:
        names = [_SHARD.sub("", file.stem), *(part.name for part in file.relative_to(path).parents if part.name)]
        said = [name for name in names if splits_of([name.encode()])]
        groups.setdefault(said[0] if said else "", []).append(file)
    if "" in groups and len(groups) > 1:
        named = ", ".join(name for name in groups if name)
        raise InputError(f"{where}: {groups[''][0]} must be in a split, as other files are in {named}")
    return groups


def _of_parquet(where: str, datasets: Any, files: Sequence[Path]) -> Any:
    import pyarrow
    from pyarrow import parquet

    tables = []
    for file in files:
        try:
            tables.append(parquet.ParquetFile(file).read())
        except (pyarrow.ArrowException, OSError) as error:
            raise InputError(f"{where}: {file} is damaged ({line_of(error)})") from error
    try:
        return datasets.concatenate_datasets([datasets.Dataset(table) for table in tables])
    except Exception as error:
        raise InputError(f"{where}: files of one split must have the same columns ({line_of(error)})") from error


def _library(where: str) -> Any:
    try:
        import datasets
        import PIL  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{where}: needs {error.name}, which is not installed: pip install 'genjax_models[hf]'"
        ) from error
    return datasets


def line_of(error: Exception) -> str:
    """Returns the kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
