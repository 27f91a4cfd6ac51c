"""Splits of a data set: drawing them, and finding the examples that they share."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import numpy as np

from genjax_models.data.records import Records
from genjax_models.errors import InputError


class Split(NamedTuple):
    """The examples of one split, as stored.

    Attributes:
      x: examples `[n, *shape]`, uint8 or float32; or `Records`, which stay on disk.
      label: classes, int32 `[n]`, or None.
      length: true number of steps of each sequence `[time, ...]` of x, int32 `[n]`, or None.
      factors: known factors of variation, float32 `[n, f]`, or None.
      row: row of each example in the source that one shuffle has split, `[n]`; None if the source had splits.
    """

    x: Any
    label: np.ndarray | None = None
    length: np.ndarray | None = None
    factors: np.ndarray | None = None
    row: np.ndarray | None = None

    def take(self, rows: np.ndarray | slice) -> "Split":
        """Returns the split of these rows."""
        return self._replace(**{name: field[rows] for name, field in self._asdict().items() if field is not None})


def split_at_random(
    split: Split, sizes: tuple[int, ...], seed: int = 0, *, stratified: bool = False, where: str = "data"
) -> list[Split]:
    """Returns splits of the first `sum(sizes)` rows of a fixed shuffle; they share no example.

    Copies of one example, byte for byte, stay together in the split of the first copy. So held-out examples are new to
    training. Copies change the sizes a little; without copies the sizes are exact. `RandomState` is numpy's frozen
    generator: the rows are the same on every version.

    Args:
      split: all examples.
      sizes: number of examples of each split.
      seed: seed of the shuffle.
      stratified: whether each split has the classes' shares of all examples, to one example of a class.
      where: begins the errors.

    Raises:
      InputError: there are so many copies that a held-out split is empty.
    """
    x, ends = split.x, np.cumsum(sizes)
    shuffled = np.random.RandomState(seed).permutation(len(x))
    if stratified and split.label is not None:
        shuffled = shuffled[np.argsort(_place_in_class(split.label[shuffled]), kind="stable")]
    rows = shuffled[: sum(sizes)]
    first = {}
    leaders = np.array([first.setdefault(digest, i) for i, digest in enumerate(_digests(x[rows]))], int)
    together = np.argsort(leaders, kind="stable")
    starts = np.searchsorted(leaders[together], leaders[together])  # the first copy of each example
    which = np.searchsorted(ends, starts, side="right")
    splits = [rows[together[which == i]] for i in range(len(sizes))]
    if any(size and not len(part) for size, part in zip(sizes, splits, strict=True)):
        raise InputError(
            f"{where}: {len(rows)} examples, but only {len(first)} different ones, too few for held-out splits that"
            " training lacks. Give more examples, or your own splits by from_splits(..., overlap='report')"
        )
    return [split.take(part) for part in splits]


def split_in_ten(where: str, split: Split, seed: int = 0) -> tuple[list[Split], str]:
    """Returns training, validation and test, 80, 10 and 10 percent of a fixed shuffle, and a note for the provenance.

    The splits are stratified by class if there are labels.
    """
    size = _at_least_ten(where, split.x)
    sizes = size - 2 * (size // 10), size // 10, size // 10
    split = split._replace(row=np.arange(size))
    splits = split_at_random(split, sizes, seed, stratified=True, where=where)
    by_class = "" if split.label is None else ", stratified by class"
    return splits, f"; shuffled by RandomState({seed}) into 80, 10 and 10 percent{by_class}{copies_note(split.x)}"


def hold_out_tenth(where: str, train: Split) -> tuple[list[Split], str]:
    """Returns training and validation, 90 and 10 percent of a fixed shuffle of the training split, and a note."""
    size = _at_least_ten(where, train.x)
    sizes = size - size // 10, size // 10
    splits = split_at_random(train, sizes, stratified=True, where=where)
    by_class = "" if train.label is None else ", stratified by class"
    return splits, f"; validation is a tenth of training, drawn by RandomState(0){by_class}{copies_note(train.x)}"


def own_splits(
    where: str, names: Collection[str], read: Callable[[str], Split], *, example: str
) -> tuple[list[Split], str]:
    """Returns the splits of a data set that has splits of its own, and a note for the provenance.

    If `validation` is missing, it is a tenth of training. If `test` is missing, `validation` takes its place. If both
    are missing, training is split in ten.

    Args:
      where: begins the errors.
      names: names of the splits; others than train, validation and test are left out.
      read: name -> split.
      example: name of a data set with one split, for the error.

    Raises:
      InputError: there is no split for training, or it has too few examples.
    """
    if "train" not in names:
        raise InputError(f"{where}: has no split train, only {', '.join(names)}. Name one of them: {example}")
    held_out = [name for name in ("validation", "test") if name in names]
    if not held_out:
        return split_in_ten(where, read("train"))
    if len(held_out) == 2:
        return [read(name) for name in ("train", *held_out)], "; its own splits"
    made, note = hold_out_tenth(where, read("train"))
    return [*made, read(held_out[0])], f"; test is its own split {held_out[0]}{note}"


def copies_note(x: np.ndarray) -> str:
    """Returns a note for the provenance: the number of copies that `split_at_random` kept together; empty if none."""
    count = copies(x)
    return f"; {count} of {len(x)} examples are copies, each kept in the split of its like" if count else ""


def copies(x: np.ndarray | Records) -> int:
    """Returns the number of examples that repeat an earlier one, byte for byte."""
    return len(x) - len(set(_digests(x)))


def in_common(xs: dict[str, np.ndarray]) -> dict[str, list[tuple[int, int]]]:
    """Returns the rows of each held-out split that training has too, as pairs (row, row of training).

    Training is the first split. Examples are the same if their bytes are. Splits without shared rows are left out.
    """
    train, *others = xs.values()
    held_out = dict(zip(list(xs)[1:], map(_digests, others), strict=True))
    sought = {digest for digests in held_out.values() for digest in digests}
    rows: dict[bytes, int] = {}  # holds no digest of training alone: training may have 10^7 examples
    for row, digest in enumerate(_each_digest(train)):
        if digest in sought:
            rows.setdefault(digest, row)
    pairs = {split: [(i, rows[d]) for i, d in enumerate(digests) if d in rows] for split, digests in held_out.items()}
    return {split: shared for split, shared in pairs.items() if shared}


def refuse_overlap(where: str, xs: dict[str, np.ndarray], *, advice: str = "") -> None:
    """Refuses held-out splits that share an example with training, the first split.

    Raises:
      InputError: an example is shared. The error has the number of shared examples, and one row of each split.
    """
    train = next(iter(xs))
    for split, shared in in_common(xs).items():
        raise InputError(
            f"{where}: {len(shared)} of {len(xs[split])} examples of {split} are in {train} too (row {shared[0][0]} of"
            f" {split} is row {shared[0][1]} of {train}); held-out examples must be new: remove them{advice}"
        )


def overlap_note(xs: dict[str, np.ndarray]) -> str:
    """Returns a note for the provenance: the number of held-out examples that training holds too; empty if none."""
    shared = in_common(xs)
    return "".join(
        f"; {len(shared[split])} of {len(xs[split])} {split} examples are in training too" for split in shared
    )


def _place_in_class(label: np.ndarray) -> np.ndarray:
    """Returns the place of each example within its class, `[n]`: near 0 for the first, near 1 for the last."""
    _, classes, counts = np.unique(label, return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    starts = np.cumsum(counts) - counts
    place = np.empty(len(label))
    place[by_class] = (np.arange(len(label)) - np.repeat(starts, counts) + 0.5) / np.repeat(counts, counts)
    return place


def _digests(x: np.ndarray | Records) -> list[bytes]:
    """Returns the sha256 of each example's bytes: 60,000 images of 28 x 28 take 50 ms, and no copy is kept."""
    return list(_each_digest(x))


def _each_digest(x: np.ndarray | Records) -> Iterator[bytes]:
    if isinstance(x, Records):
        yield from x.digests
        return
    x = np.ascontiguousarray(x)
    if np.issubdtype(x.dtype, np.floating):
        x = x + 0  # makes -0.0 the bytes of 0.0
    for row in x:
        yield hashlib.sha256(row).digest()


def _at_least_ten(where: str, x: np.ndarray) -> int:
    size = len(x) if np.ndim(x) else 0
    if size < 10:
        raise InputError(f"{where}: needs at least 10 examples for three splits, got {size}")
    return size
