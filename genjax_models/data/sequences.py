"""Lists of sequences as a data set: padded with zeros to one number of steps."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from genjax_models.data.arrays import kept_integers, plain_array
from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.labels import numbered
from genjax_models.data.splits import Split
from genjax_models.data.steps import has_data
from genjax_models.data.values import Range
from genjax_models.errors import InputError

_SPLITS = "train", "validation", "test"


def from_sequences(
    train: Sequence[Any],
    validation: Sequence[Any],
    test: Sequence[Any],
    *,
    range: Range,
    labels: tuple[Any, Any, Any] | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "sequences",
    provenance: str = "given as sequences",
    overlap: Literal["refuse", "report"] = "refuse",
) -> Dataset:
    """Returns a data set of sequences `[n, time, ...]` with their lengths; time is the length of the longest.

    Integers are binary if the range is (0, 1), bytes if it is (0, 255), and else become float32.

    Args:
      train: sequences for training, arrays `[time, ...]` of any number of steps.
      validation: sequences on which runs are compared.
      test: sequences for reported figures.
      range: lowest and highest value, as in (0, 1).
      labels: a class per sequence for each of the three splits, integers that count from 0, or texts.
      class_names: name of each class.
      name: name for messages and reports.
      provenance: source of the data, in words.
      overlap: "refuse", or "report" to keep held-out sequences that training holds too (see `from_splits`).

    Raises:
      InputError: a sequence has no steps or other features than the first, or the data contradict the arguments. The
        error names split and row.
    """
    given = {
        split: _sequences(f"{name}, {split} split", x)
        for split, x in zip(_SPLITS, (train, validation, test), strict=True)
    }
    shape = given["train"][0].shape[1:]
    for split, sequences in given.items():
        for row, x in enumerate(sequences):
            if x.shape[1:] != shape:
                raise InputError(
                    f"{name}, {split} split: every step must have the shape of the first, {shape}, got {x.shape[1:]} in"
                    f" row {row}"
                )
    classes, names = _labels(name, labels)
    together = np.concatenate([x for sequences in given.values() for x in sequences])  # one type for all
    values, note = kept_integers(name, together, range)
    time = max(len(x) for sequences in given.values() for x in sequences)
    parts, start = [], 0
    for sequences, label in zip(given.values(), classes, strict=True):
        length = np.array([len(x) for x in sequences], np.int32)
        x = np.zeros((len(sequences), time, *shape), values.dtype)
        x[has_data(length, time)] = values[start : start + length.sum()]
        start += length.sum()
        parts.append(Split(x, label, length))
    return from_splits(
        *parts,
        name=name,
        range=range,
        class_names=names if class_names is None else class_names,
        kind="sequences",
        provenance=provenance + note,
        overlap=overlap,
    )


def _sequences(where: str, sequences: Sequence[Any]) -> list[np.ndarray]:
    if isinstance(sequences, Split) or not hasattr(sequences, "__len__"):
        raise InputError(f"{where}: must be a list of arrays [time, ...], got {type(sequences).__name__}")
    if not len(sequences):
        raise InputError(f"{where}: must have at least one sequence, got none")
    arrays = [plain_array(where, f"row {row}", x) for row, x in enumerate(sequences)]
    for row, x in enumerate(arrays):
        if x.ndim < 2:
            raise InputError(f"{where}: sequences must be [time, d] or [time, a, b], got shape {x.shape} in row {row}")
        if not len(x):
            raise InputError(f"{where}: sequences must have at least one step, got none in row {row}")
    return arrays


def _labels(
    name: str, labels: tuple[Any, Any, Any] | None
) -> tuple[Sequence[np.ndarray | None], tuple[str, ...] | None]:
    if labels is None:
        return [None] * len(_SPLITS), None
    if len(labels) != len(_SPLITS):
        raise InputError(f"{name}: `labels` must be three lists, of train, validation and test, got {len(labels)}")
    arrays = [plain_array(name, "labels", label) for label in labels]
    numbers, names = numbered(np.concatenate(arrays))
    return np.split(numbers, np.cumsum([len(array) for array in arrays])[:-1]), names
