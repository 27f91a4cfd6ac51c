"""Data sets of Hugging Face on this disk, from `save_to_disk` or as parquet; nothing is downloaded."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from genjax_models.data import image
from genjax_models.data.dataset import Dataset, Range, from_splits
from genjax_models.data.hugging_face_columns import columns_of, read_arrays, read_images, read_labels, row_of
from genjax_models.data.hugging_face_tables import located
from genjax_models.data.image_folder import check_image_options, image_options_in_words, is_grey, warn_of_grey
from genjax_models.data.labels import numbered
from genjax_models.data.records import Records
from genjax_models.data.split_names import splits_of
from genjax_models.data.splits import Split, own_splits, split_in_ten
from genjax_models.errors import InputError


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
    stream: bool = False,
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
      stream: whether decoded training images stay on disk (see `data.load`), for images of `save_to_disk`.

    Raises:
      InputError: `datasets` is not installed, the data are absent or damaged, a column or a split is missing or not the
        only one, an image cannot be read, images have different sizes with `size=None`, or the data cannot be streamed.
    """
    where, rule = f"hf:{spec}", {"size": size, "fit": fit, "channels": channels, "max_pixels": max_pixels}
    check_image_options(size, fit, channels, max_pixels)
    path, tables, split = located(where, spec)
    columns = columns_of(where, next(iter(tables.values())).features, keys or {})
    for name, table in tables.items():
        if columns_of(where, table.features, keys or {}) != columns:
            raise InputError(f"{where}: split {name!r} must have the columns and classes of the other splits")
    if not columns.is_image and (size not in (32, None) or fit != "crop" or channels or skip_unreadable):
        raise InputError(f"{where}: {columns.x!r} holds arrays, which stay as they are, so it takes no image options")
    if stream and not (columns.is_image and all(table.cache_files for table in tables.values())):
        held = "parquet files are" if columns.is_image else f"arrays, such as {columns.x!r}, are"
        raise InputError(
            f"{where}: {held} held in memory; accepted for a stream are images that `save_to_disk` wrote, folders of"
            " images and tfds:NAME"
        )
    skipped: list[str] = []

    def read(name: str) -> Split:
        table = tables[name]
        if not len(table):
            raise InputError(f"{where}: the split {name!r} is empty")
        if columns.is_image:
            options = {"skip_unreadable": skip_unreadable, "stream": stream}
            x, left_out = read_images(where, name, table, columns.x, rule, **options)
            skipped.extend(row_of(name, row) for row in left_out.tolist())
        else:
            x, left_out = read_arrays(where, name, table, columns.x), []
        label = None if columns.label is None else read_labels(where, name, table, columns.label)
        return Split(x, None if label is None else np.delete(label, left_out))

    splits, note, class_names = _split(where, read, tables, split, columns.class_names)
    how = (
        f"images {columns.x}, {image_options_in_words(size, fit, channels)}"
        if columns.is_image
        else f"arrays {columns.x}"
    )
    if skipped:
        count = f"{len(skipped)} images cannot be read and are skipped"
        warnings.warn(f"{where}: {count}, the last is {skipped[-1]}", stacklevel=2)
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
    """Returns the splits with as many channels as the one that has most.

    Raises:
      InputError: they are on disk, where grey images stay grey.
    """
    channels = {part.x.shape[-1] for part in parts.values()}
    if channels != {1, 3} or any(part.x.dtype != np.uint8 or part.x.ndim != 4 for part in parts.values()):
        return dict(parts)
    if any(isinstance(part.x, Records) for part in parts.values()):
        raise InputError(
            f"{where}: splits in grey and in colour cannot be streamed. Use --image-channels 3 (channels=3)"
        )
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
                raise InputError(f"{where}: {row_of(split, row)}: training has no class {text!r}")
    return {
        name: part._replace(label=np.array([numbers[text] for text in texts[name]])) for name, part in parts.items()
    }, names


def _in_words(skipped: Sequence[str]) -> str:
    if not skipped:
        return ""
    more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"; {len(skipped)} images cannot be read and are skipped: {'; '.join(skipped[:3])}{more}"
