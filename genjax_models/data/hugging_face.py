"""Data sets of Hugging Face on this disk, from `save_to_disk` or as parquet; nothing is downloaded."""

import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from genjax_models.data import host_memory, image
from genjax_models.data.dataset import Dataset, Range, from_splits
from genjax_models.data.image_cache import in_parallel
from genjax_models.data.image_folder import check_image_options, image_options_in_words, is_grey, warn_of_grey
from genjax_models.data.labels import numbered
from genjax_models.data.split_names import splits_of
from genjax_models.data.splits import Split, own_splits, split_in_ten
from genjax_models.errors import InputError

_LABELS = ("label", "labels", "class", "target", "y")
_SHARD = re.compile(r"-\d+-of-\d+$")
_LAYOUTS = "a folder of `save_to_disk`, a .parquet file, or a folder of .parquet files"


class _Columns(NamedTuple):
    """The columns that are read: images or arrays, and labels with the names of their classes if there are any."""

    x: str
    is_image: bool
    label: str | None
    class_names: list[str] | None


def load(
    spec: str,
    *,
    keys: Mapping[str, str] | None = None,
    range: Range | None = None,
    size: image.Size | None = 32,
    fit: image.Fit = "crop",
    channels: Literal[1, 3] | None = None,
    skip_unreadable: bool = False,
    max_pixels: int = image.MAX_PIXELS,
) -> Dataset:
    """Returns the images of a data set that the library `datasets` wrote, and its labels if it has any.

    Images of a column `Image` are decoded and brought to one size as images of a folder are (`image_folder`). Arrays of
    a column `Array2D` or `Array3D` stay unchanged; they are `[height, width]` or `[height, width, channels]`.

    With `PATH:SPLIT`, and for data without splits, one fixed shuffle makes splits of 80, 10 and 10 percent. Else the
    splits are the data set's own, also by other names such as `val` and `dev`. If `validation` is missing, it is a
    tenth of training. If `test` is missing, `validation` takes its place. Other splits are left out, and the provenance
    names them. Held-out images that are training images too are kept, and counted in the provenance.

    Args:
      spec: `PATH[:SPLIT]`; the path is of a folder that `save_to_disk` wrote, of a `.parquet` file, or of a folder of
        them, with splits in the names of files (`train-00000-of-00002.parquet`) or of folders.
      keys: columns of images and labels, as in {"x": "img", "y": "fine_label"}; by default the only column of images,
        and the only column of classes, or else the column label, labels, class, target or y.
      range: range of the stored values, (0, 255) by default for bytes.
      size: pixels of a side, or (height, width); None keeps the images unchanged, if they all have one size.
      fit: "crop", "resize" or "pad".
      channels: 1 makes colours grey, 3 repeats grey; by default all are grey if all are stored as grey.
      skip_unreadable: whether to leave out images that cannot be decoded, up to 1% of a split, or one.
      max_pixels: largest number of pixels of an image.

    Raises:
      InputError: `datasets` is not installed, the data are absent or damaged, a column or a split is missing or not the
        only one, an image cannot be read, or images have different sizes with `size=None`.
    """
    where, rule = f"hf:{spec}", {"size": size, "fit": fit, "channels": channels, "max_pixels": max_pixels}
    check_image_options(size, fit, channels, max_pixels)
    path, tables, split = _located(where, spec)
    columns = _columns(where, next(iter(tables.values())).features, keys or {})
    for name, table in tables.items():
        if _columns(where, table.features, keys or {}) != columns:
            raise InputError(f"{where}: split {name!r} must have the columns and classes of the other splits")
    if not columns.is_image and (size not in (32, None) or fit != "crop" or channels or skip_unreadable):
        raise InputError(f"{where}: {columns.x!r} holds arrays, which stay as they are, so it takes no image options")
    skipped: list[str] = []

    def read(name: str) -> Split:
        table = tables[name]
        if not len(table):
            raise InputError(f"{where}: the split {name!r} is empty")
        if columns.is_image:
            x, kept = _images(where, name, table, columns.x, rule, skip_unreadable, skipped)
        else:
            x, kept = _arrays(where, name, table, columns.x), np.arange(len(table))
        label = None if columns.label is None else _labels(where, name, table, columns.label)[kept]
        return Split(x, label)

    splits, note, class_names = _split(where, read, tables, split, columns.class_names)
    how = (
        f"images {columns.x}, {image_options_in_words(size, fit, channels)}"
        if columns.is_image
        else f"arrays {columns.x}"
    )
    if columns.is_image and channels is None and all(is_grey(part.x) for part in splits):
        warn_of_grey(where)
    return from_splits(
        *splits,
        name=where,
        range=range,
        kind="images",
        class_names=class_names,
        provenance=f"Hugging Face data set in {path}, {how}{f'; labels are {columns.label}' if columns.label else ''}"
        f"{_in_words(skipped)}{note}",
        overlap="report",
    )


def _located(where: str, spec: str) -> tuple[Path, dict[str, Any], str | None]:
    """Returns the path, the table of each split, and the split that the spec names; "" is the only table."""
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
            raise InputError(f"{where}: {path} is damaged ({_line(error)})") from error
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
            raise InputError(f"{where}: {file} is damaged ({_line(error)})") from error
    try:
        return datasets.concatenate_datasets([datasets.Dataset(table) for table in tables])
    except Exception as error:
        raise InputError(f"{where}: files of one split must have the same columns ({_line(error)})") from error


def _library(where: str) -> Any:
    try:
        import datasets
        import PIL  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"{where}: needs {error.name}, which is not installed: pip install 'genjax_models[hf]'"
        ) from error
    return datasets


def _columns(where: str, features: Mapping[str, Any], keys: Mapping[str, str]) -> _Columns:
    """Returns the columns to read."""
    import datasets

    if unknown := sorted(set(keys) - {"x", "y"}):
        raise InputError(f"{where}: keys must be x, the images, and y, the labels; got {unknown}")
    for key, name in keys.items():
        if name not in features:
            raise InputError(f"{where}: keys name the column {name!r} as {key}; the columns are {', '.join(features)}")
    of_kind = lambda *kinds: [name for name, feature in features.items() if isinstance(feature, kinds)]
    images, arrays = of_kind(datasets.Image), of_kind(datasets.Array2D, datasets.Array3D)
    found = [keys["x"]] if "x" in keys else images or arrays
    if len(found) != 1 or found[0] not in images + arrays:
        raise InputError(
            f"{where}: one column must hold images (Image, Array2D or Array3D), got {', '.join(found) or 'none'} of"
            f" {', '.join(features)}. Name it: keys={{'x': ...}} (--data-keys x=NAME)"
        )
    classes = of_kind(datasets.ClassLabel)
    usual = [name for name in features if name.strip().casefold() in _LABELS and name not in images + arrays]
    one = next((names for names in (classes, usual) if len(names) == 1), classes or usual)
    labels = [keys["y"]] if "y" in keys else one
    if len(labels) > 1:
        raise InputError(
            f"{where}: one column must hold labels, got {', '.join(labels)}. Name it: keys={{'y': {labels[0]!r}}}"
            f" (--data-keys y={labels[0]})"
        )
    label = labels[0] if labels else None
    names = list(cast(Any, features[label]).names) if label in classes else None
    return _Columns(found[0], found[0] in images, label, names)


def _images(
    where: str, split: str, table: Any, column: str, rule: Mapping[str, Any], skip: bool, skipped: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images of a split and their rows; adds the unreadable ones to `skipped`."""
    import datasets

    if rule["size"] is not None:
        pixels = math.prod(image.sides(rule["size"])) * len(table)
        host_memory.check_fits(pixels, f"image_size {rule['size']}: memory of the images")
    stored = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    limit, images, rows = max(1, len(table) // 100), [], []

    def decoded(row: int) -> np.ndarray | image.UnreadableError:
        content = (stored[row][column] or {}).get("bytes")
        if content is None:
            return image.UnreadableError("no bytes; `save_to_disk` stores them")
        try:
            return image.decode(io.BytesIO(content), **rule)
        except image.UnreadableError as error:
            return error
        except image.TooLargeError as error:
            raise InputError(
                f"{where}: {_row(split, row)}: an image must have at most {rule['max_pixels']} pixels, got {error}"
            ) from error

    count = 0
    with (
        warnings.catch_warnings(action="ignore"),
        closing(in_parallel(decoded, range(len(table)), "decoding")) as results,
    ):
        for row, x in enumerate(results):
            if isinstance(x, np.ndarray):
                if images and x.shape[:2] != images[0].shape[:2]:
                    (height, width), (first_height, first_width) = x.shape[:2], images[0].shape[:2]
                    raise InputError(
                        f"{where}: {_row(split, row)}: {width} x {height} pixels, but an earlier image has"
                        f" {first_width} x {first_height}. Use size=N (--image-size N) to resize them"
                    )
                images.append(x)
                rows.append(row)
                continue
            count += 1
            if not skip:
                raise InputError(
                    f"{where}: {_row(split, row)}: cannot be read as an image ({x}). Leave it out by"
                    " skip_unreadable=True (--skip-unreadable)"
                ) from x
            if count > limit:
                raise InputError(
                    f"{where}: {_row(split, row)}: `skip_unreadable` accepts at most {limit} unreadable of {len(table)}"
                    f" images, got {count}; this one has {x}"
                ) from x
            skipped.append(_row(split, row))
    if count:
        warnings.warn(
            f"{where}: {count} images cannot be read and are skipped, the last is {skipped[-1]}", stacklevel=5
        )
    if not images:
        raise InputError(f"{where}: at least one image must be readable, got none")
    channels = max(x.shape[2] for x in images)  # grey images become colour if one is
    return np.stack([np.broadcast_to(x, (*x.shape[:2], channels)) for x in images]), np.array(rows)


def _arrays(where: str, split: str, table: Any, column: str) -> np.ndarray:
    try:
        x = np.asarray(table.with_format("numpy")[column], table.features[column].dtype)
    except Exception as error:
        raise InputError(
            f"{where}: the column {column!r} of {split or 'the data'} is damaged ({_line(error)})"
        ) from error
    if x.dtype.kind not in "buf":
        raise InputError(f"{where}: {column!r} must hold bytes or floating point, got {x.dtype}")
    return x


def _labels(where: str, split: str, table: Any, column: str) -> np.ndarray:
    values = table[column][:]
    if None in values:
        raise InputError(
            f"{where}: {_row(split, values.index(None))} has no value in {column!r}. Fill it, or remove it"
        )
    label = np.asarray(values)
    if label.ndim != 1 or label.dtype.kind not in "iuUb":
        raise InputError(f"{where}: {column!r} must hold whole numbers or texts, got {label.dtype} {label.shape[1:]}")
    return label.astype(int) if label.dtype.kind == "b" else label


def _split(
    where: str, read: Any, tables: Mapping[str, Any], split: str | None, class_names: Sequence[str] | None
) -> tuple[list[Split], str, Sequence[str] | None]:
    """Returns three splits of one number of channels, a note, and the names of the classes."""
    if split is None and "" not in tables:
        names = _names(where, list(tables))
        left_out = sorted(set(tables) - set(names.values()))
        parts = _of_one_kind(where, {name: read(stored) for name, stored in names.items()})
        parts, class_names = _numbered(where, parts, class_names)
        splits, note = own_splits(where, list(parts), lambda name: parts[name], example="hf:PATH:SPLIT")
        return splits, note + (f"; left out are the splits {', '.join(left_out)}" if left_out else ""), class_names
    parts, class_names = _numbered(where, {"train": read(split or "")}, class_names)
    splits, note = split_in_ten(where, parts["train"])
    return splits, note, class_names


def _names(where: str, tables: Sequence[str]) -> dict[str, str]:
    """Returns "train", "validation" and "test", as far as they are there, with their names in the data set."""
    said = {name.decode(): split for name, split in splits_of([name.encode() for name in tables]).items()}
    names = {}
    for stored in tables:
        if (split := said.get(stored)) in names:
            raise InputError(f"{where}: {names[split]} and {stored} are both {split}. Name one: hf:PATH:SPLIT")
        if split:
            names[split] = stored
    if "train" not in names:
        raise InputError(f"{where}: has no split train, only {', '.join(tables)}. Name one of them: hf:PATH:SPLIT")
    return {split: names[split] for split in ("train", "validation", "test") if split in names}


def _of_one_kind(where: str, parts: Mapping[str, Split]) -> dict[str, Split]:
    """Returns the splits with as many channels as the one that has most."""
    channels = {part.x.shape[-1] for part in parts.values()}
    if channels != {1, 3} or any(part.x.dtype != np.uint8 or part.x.ndim != 4 for part in parts.values()):
        return dict(parts)
    return {name: part._replace(x=np.broadcast_to(part.x, (*part.x.shape[:3], 3))) for name, part in parts.items()}


def _numbered(
    where: str, parts: Mapping[str, Split], class_names: Sequence[str] | None
) -> tuple[dict[str, Split], Sequence[str] | None]:
    """Returns the splits with labels that are numbers; texts count in the order of the texts of training."""
    texts = {
        name: part.label for name, part in parts.items() if part.label is not None and part.label.dtype.kind == "U"
    }
    if not texts:
        unique = class_names is not None and len(set(class_names)) == len(class_names)
        return dict(parts), class_names if unique else None
    _, names = numbered(texts.get("train", np.array([], "U1")))
    numbers = {name: number for number, name in enumerate(names or ())}
    for split, label in texts.items():
        for row, text in enumerate(label):
            if text not in numbers:
                raise InputError(f"{where}: {_row(split, row)}: training has no class {text!r}")
    return {
        name: part._replace(label=np.array([numbers[text] for text in texts[name]])) for name, part in parts.items()
    }, names


def _row(split: str, row: int) -> str:
    return f"split {split!r}, row {row}" if split else f"row {row}"


def _in_words(skipped: Sequence[str]) -> str:
    if not skipped:
        return ""
    more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"; {len(skipped)} images cannot be read and are skipped: {'; '.join(skipped[:3])}{more}"


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
