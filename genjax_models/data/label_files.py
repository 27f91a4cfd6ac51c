"""Labels of images in a file: `labels.csv` of two columns, or `dataset.json` in the format of StyleGAN."""

import csv
import io
import json
import os
from collections.abc import Set
from typing import Any, NamedTuple

from genjax_models.data.image_cache import shown
from genjax_models.errors import InputError

_FORMATS = "labels.csv needs two columns, file and label; dataset.json needs {'labels': [[file, label], ...]}"


class LabelFile(NamedTuple):
    """The labels of a file.

    Attributes:
      folder: the folder that holds the file.
      name: name of the file.
      labels: path relative to a folder of images -> name of the class; empty if the file says that there are none.
    """

    folder: bytes
    name: bytes
    labels: dict[bytes, bytes]

    @property
    def shown(self) -> str:
        """Returns the path as text on one line."""
        return shown(os.path.join(self.folder, self.name))

    def under(self, folder: bytes) -> "LabelFile":
        """Returns the labels of the files in a subfolder."""
        start = folder + b"/"
        under = {path.removeprefix(start): label for path, label in self.labels.items() if path.startswith(start)}
        return self._replace(labels=under)

    def label_of(self, path: bytes) -> bytes:
        """Returns the class of an image; b"" without labels.

        Raises:
          InputError: the file has labels, but none for this image.
        """
        if self.labels and path not in self.labels:
            raise InputError(f"{self.shown}: needs a label for every image, and has none for {shown(path)}")
        return self.labels.get(path, b"")

    def check_used(self, paths: Set[bytes]) -> None:
        """Refuses labels of images that are not there.

        Raises:
          InputError: names the first one.
        """
        absent = sorted(set(self.labels) - paths)
        if absent:
            raise InputError(f"{self.shown}: {len(absent)} of its images are absent, the first is {shown(absent[0])}")


def read(folder: bytes) -> LabelFile | None:
    """Returns the labels in the file of a folder; None without such a file.

    Raises:
      InputError: there are two such files, or one is damaged or has another format.
    """
    names = [name for name in (b"labels.csv", b"dataset.json") if os.path.isfile(os.path.join(folder, name))]
    if len(names) > 1:
        raise InputError(f"{shown(folder)}: holds labels.csv and dataset.json. Keep one of them")
    if not names:
        return None
    (name,) = names
    path = os.path.join(folder, name)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
        rows = _rows_of_csv(text, folder) if name == b"labels.csv" else _rows_of_json(text)
        labels = {os.fsencode(os.path.normpath(file)): _text(label) for file, label in rows}
    except (OSError, ValueError, TypeError, KeyError, csv.Error, RecursionError) as error:
        raise InputError(f"{shown(path)}: cannot be read as labels ({error}). {_FORMATS}") from error
    if len(labels) < len(rows):
        raise InputError(f"{shown(path)}: must name each image once, got {len(rows)} labels for {len(labels)} images")
    return LabelFile(folder, name, labels)


def _rows_of_csv(text: str, folder: bytes) -> list[tuple[str, Any]]:
    rows = [row for row in csv.reader(io.StringIO(text)) if row]
    for number, row in enumerate(rows):
        if len(row) != 2:
            raise ValueError(f"row {number} has {len(row)} columns")
    has_header = bool(rows) and not os.path.exists(os.path.join(folder, os.fsencode(rows[0][0])))
    rows = rows[1:] if has_header else rows
    if not rows:
        raise ValueError("it has no rows")
    return [(file, label) for file, label in rows]


def _rows_of_json(text: str) -> list[tuple[str, Any]]:
    labels = json.loads(text)["labels"]
    if labels is None:  # StyleGAN's word for data without labels
        return []
    rows = list(labels.items()) if isinstance(labels, dict) else [(file, label) for file, label in labels]
    if not all(isinstance(file, str) for file, _ in rows):
        raise ValueError("a file is no text")
    return rows


def _text(label: Any) -> bytes:
    if isinstance(label, bool) or not isinstance(label, int | str) or str(label).strip() == "":
        raise ValueError(f"a label must be an integer or a text, got {label!r}")
    return str(label).strip().encode()
