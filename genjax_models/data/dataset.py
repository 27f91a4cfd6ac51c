"""A data set: three splits of arrays that are what they are declared to be, or an error that says what is not."""

import itertools
import math
from typing import NamedTuple

import numpy as np

from genjax_models.errors import InputError
from genjax_models.types import Shape

Range = tuple[float, float]


class Split(NamedTuple):
    """`x` `[n, *shape]` as stored, uint8 or float32; `label` `[n]` int32, or None."""

    x: np.ndarray
    label: np.ndarray | None = None


class Dataset(NamedTuple):
    """Checked arrays. `range` is that of the values as stored; `num_classes` is None where there are no labels."""

    name: str
    train: Split
    validation: Split
    test: Split
    range: Range
    num_classes: int | None
    provenance: str

    @property
    def shape(self) -> Shape:
        """Of one example."""
        return self.train.x.shape[1:]


def from_arrays(
    train: Split,
    validation: Split,
    test: Split,
    *,
    name: str = "arrays",
    range: Range | None = None,
    num_classes: int | None = None,
    provenance: str = "given as arrays",
) -> Dataset:
    """A data set of three splits, each checked against its declaration.

    Images `[n, height, width]` get a channel axis; `[n, height, width, channels]` and vectors `[n, d]` stay. Values are
    uint8, bool or floating point (kept as float32).

    Args:
      train: what is learned from.
      validation: what runs are compared on.
      test: what is reported.
      name: for messages and reports.
      range: lowest and highest value; by default (0, 255) for uint8 and (0, 1) for the others. Values outside, or
        uint8 that never passes 1 where 255 is declared, are refused: nothing is ever rescaled in silence.
      num_classes: labels must be below it; by default one more than the largest of the training split.
      provenance: where the data come from, in words.

    Raises:
      InputError: names split, row and value of what contradicts the declaration.
    """
    splits = {"train": train, "validation": validation, "test": test}
    range = _range_of(name, train.x, range)
    checked = {split: check(f"{name}, {split} split", *splits[split], range) for split in splits}
    labelled = [split for split in splits if checked[split].label is not None]
    if num_classes is None and "train" in labelled:
        num_classes = int(checked["train"].label.max()) + 1
    if num_classes is not None:
        for split in labelled:
            _check_classes(f"{name}, {split} split", checked[split].label, num_classes)
    if labelled and len(labelled) < len(splits):
        raise InputError(f"{name}: only the {' and '.join(labelled)} split has labels; all must have them, or none")
    shapes = {split: checked[split].x.shape[1:] for split in checked}
    if len(set(shapes.values())) > 1:
        raise InputError(f"{name}: the splits hold examples of different shapes: {shapes}")
    if range == (0, 255) and checked["train"].x.max() <= 1:
        raise InputError(
            f"{name}: uint8 values in [0, {checked['train'].x.max()}] where 0..255 is declared;"
            " if they are binary, declare the range (0, 1)"
        )
    checked = {split: Split(x, None if y is None else y.astype(np.int32)) for split, (x, y) in checked.items()}
    return Dataset(name, **checked, range=range, num_classes=num_classes, provenance=provenance)


def split_at_random(x: np.ndarray, label: np.ndarray | None, sizes: tuple[int, ...], seed: int = 0) -> list[Split]:
    """Disjoint splits of the first `sum(sizes)` rows of one fixed shuffle.

    `RandomState` is numpy's frozen generator: the same rows on every version.
    """
    order = np.random.RandomState(seed).permutation(len(x))
    ends = np.cumsum((0, *sizes))
    rows = [order[start:end] for start, end in itertools.pairwise(ends)]
    return [Split(x[r], None if label is None else label[r]) for r in rows]


def checked_range(where: str, range: Range) -> Range:
    """Two finite numbers, the lower first.

    Raises:
      InputError: they are not.
    """
    if len(range) != 2 or not all(map(math.isfinite, range)) or not range[0] < range[1]:
        raise InputError(f"{where}: a range must be two finite numbers, the lower first, got {range}")
    return tuple(range)


def _range_of(where: str, x: np.ndarray, range: Range | None) -> Range:
    if range is None:
        range = (0, 255) if np.asarray(x).dtype == np.uint8 else (0, 1)
    return checked_range(where, range)


def check(where: str, x: np.ndarray, label: np.ndarray | None = None, range: Range | None = None) -> Split:
    """One split as `from_arrays` keeps it; `where` heads the errors.

    Raises:
      InputError: names the row and the value of what contradicts the declaration.
    """
    x = _with_channels(where, np.asarray(x))
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    if np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
            x = x.astype(np.float32)
        finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
        if not finite.all():
            raise InputError(f"{where}: row {int(np.argmin(finite))} holds a value that is not finite")
    elif x.dtype != np.uint8:
        raise InputError(f"{where}: dtype {x.dtype}; accepted are uint8, bool and floating point")
    low, high = _range_of(where, x, range)
    if x.min() < low or x.max() > high:
        rows = ((x < low) | (x > high)).reshape(len(x), -1).any(axis=1)
        raise InputError(
            f"{where}: {x.dtype} values in [{x.min():g}, {x.max():g}] where [{low:g}, {high:g}] is declared"
            f" (first in row {int(np.argmax(rows))}); rescale them, or declare their range"
        )
    return Split(np.ascontiguousarray(x), _checked_labels(where, label, len(x)))


def _with_channels(where: str, x: np.ndarray) -> np.ndarray:
    if x.ndim not in (2, 3, 4) or 0 in x.shape[1:]:
        raise InputError(
            f"{where}: an array of shape {x.shape}; accepted are [n, height, width, channels], [n, height, width]"
            " and vectors [n, d]"
        )
    if not len(x):
        raise InputError(f"{where}: is empty, at least one example is needed")
    if x.ndim == 4 and x.shape[3] > 4:
        hint = ", channels seem to come first: move them to the end" if x.shape[1] <= 4 else ""
        raise InputError(f"{where}: images of shape {x.shape[1:]}; accepted is (height, width, 1 to 4 channels){hint}")
    return x[..., None] if x.ndim == 3 else x


def _checked_labels(where: str, label: np.ndarray | None, n: int) -> np.ndarray | None:
    if label is None:
        return None
    label = np.asarray(label)
    if label.shape != (n,) or not np.issubdtype(label.dtype, np.integer):
        raise InputError(f"{where}: labels must be {n} integers, got {label.dtype} of shape {label.shape}")
    return label


def _check_classes(where: str, label: np.ndarray, num_classes: int) -> None:
    outside = (label < 0) | (label >= num_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"{where}: label {label[row]} in row {row}; accepted are 0 to {num_classes - 1}")
