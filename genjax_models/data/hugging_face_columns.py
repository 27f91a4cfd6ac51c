"""The columns of a Hugging Face table: which of them are read, and their images, arrays and labels."""

import contextlib
import hashlib
import io
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple, cast

import numpy as np

from genjax_models.data import host_memory, image, image_cache
from genjax_models.data.hugging_face_tables import line_of
from genjax_models.data.image_decoding import Rule, Stored, in_memory, in_parallel, on_disk
from genjax_models.data.records import Records
from genjax_models.errors import InputError

_LABELS = ("label", "labels", "class", "target", "y")


class Columns(NamedTuple):
    """The columns that are read: images or arrays, and labels with the names of their classes if there are any."""

    x: str
    is_image: bool
    label: str | None
    class_names: list[str] | None


def columns_of(where: str, features: Mapping[str, Any], keys: Mapping[str, str]) -> Columns:
    """Returns the columns to read; `keys` may name them.

    Raises:
      InputError: a column is missing, or several fit.
    """
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
    return Columns(found[0], found[0] in images, label, names)


def read_images(
    where: str, split: str, table: Any, column: str, rule: Rule, *, skip_unreadable: bool, stream: bool
) -> tuple[np.ndarray | Records, np.ndarray]:
    """Returns the images of a split and the rows of unreadable ones, which are skipped.

    With `stream` the images are decoded once into a file of the cache. The file has the digest of the stored bytes and
    options for a name.

    Raises:
      InputError: names the row: see `image_decoding.in_memory`. Or there is too little memory.
    """
    import datasets

    if rule["size"] is not None:
        pixels = math.prod(image.sides(rule["size"])) * (1 if stream else len(table))
        host_memory.check_fits(pixels, f"image_size {rule['size']}: memory of the images")
    bytes_of = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))

    def content(row: int) -> bytes | None:
        return (bytes_of[row][column] or {}).get("bytes")

    @contextlib.contextmanager
    def opened(row: int) -> Iterator[IO[bytes]]:
        stored = content(row)
        if stored is None:
            raise image.UnreadableError("no bytes; `save_to_disk` stores them")
        yield io.BytesIO(stored)

    stored = Stored(len(table), lambda row: f"{where}: {row_of(split, row)}", opened)
    with warnings.catch_warnings(action="ignore"):  # Pillow's warnings of repairs
        if not stream:
            return in_memory(stored, rule, skip_unreadable=skip_unreadable)
        key = hashlib.sha256(f"genjax_models hf 1 {sorted(rule.items())} {skip_unreadable}".encode())
        digest = lambda row: hashlib.sha256(content(row) or b"").digest()
        for one in in_parallel(digest, range(len(table)), "reading"):
            key.update(one)
        file = image_cache.cleaned(image_cache.default_folder()) / f"{key.hexdigest()}.records"
        return on_disk(file, stored, rule, skip_unreadable=skip_unreadable)


def read_arrays(where: str, split: str, table: Any, column: str) -> np.ndarray:
    """Returns the arrays of a column.

    Raises:
      InputError: the column is damaged, or holds other numbers than bytes or floating point.
    """
    try:
        x = np.asarray(table.with_format("numpy")[column], table.features[column].dtype)
    except Exception as error:
        raise InputError(
            f"{where}: the column {column!r} of {split or 'the data'} is damaged ({line_of(error)})"
        ) from error
    if x.dtype.kind not in "buf":
        raise InputError(f"{where}: {column!r} must hold bytes or floating point, got {x.dtype}")
    return x


def read_labels(where: str, split: str, table: Any, column: str) -> np.ndarray:
    """Returns the labels of a column, whole numbers or texts.

    Raises:
      InputError: a label is missing, or the column holds something else.
    """
    values = table[column][:]
    if None in values:
        raise InputError(
            f"{where}: {row_of(split, values.index(None))} has no value in {column!r}. Fill it, or remove it"
        )
    label = np.asarray(values)
    if label.ndim != 1 or label.dtype.kind not in "iuUb":
        raise InputError(f"{where}: {column!r} must hold whole numbers or texts, got {label.dtype} {label.shape[1:]}")
    return label.astype(int) if label.dtype.kind == "b" else label


def row_of(split: str, row: int) -> str:
    """Returns the name of a row, for errors."""
    return f"split {split!r}, row {row}" if split else f"row {row}"
