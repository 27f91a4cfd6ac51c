"""A data set: three splits of arrays, checked against their declaration."""

import hashlib
import math
from typing import Any, Literal, NamedTuple

import numpy as np

from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Shape

Range = tuple[float, float]

_HELD_OUT_BYTES = 2**25  # of records, in memory in each held-out split


class Split(NamedTuple):
    """The examples of one split, as stored; `x` may be `Records`, which stay on disk.

    x: `[n, *shape]`, uint8 or float32.
    label: classes, int32 `[n]`.
    length: true steps of sequences x `[n, time, ...]`, int32 `[n]`.
    factors: known factors of variation, float32 `[n, f]`.
    """

    x: Any
    label: np.ndarray | None = None
    length: np.ndarray | None = None
    factors: np.ndarray | None = None

    def take(self, rows: np.ndarray | slice) -> "Split":
        """Returns the split of these rows."""
        return self._replace(**{name: field[rows] for name, field in self._asdict().items() if field is not None})


class Dataset(NamedTuple):
    """Checked arrays. `range` has the lowest and highest stored value; `num_classes` is None without labels."""

    name: str
    train: Split
    validation: Split
    test: Split
    range: Range
    num_classes: int | None
    provenance: str

    @property
    def shape(self) -> Shape:
        """Shape of one example."""
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
    overlap: Literal["refuse", "report"] = "refuse",
) -> Dataset:
    """Returns a checked data set of three splits; held-out splits share no example with training.

    Images `[n, height, width]` get a channel axis; `[n, height, width, channels]` and vectors `[n, d]` stay. Values are
    uint8, bool or floating point (kept as float32).

    Args:
      train: the split for training.
      validation: the split on which runs are compared.
      test: the split for reported figures.
      name: for messages and reports.
      range: lowest and highest value; by default (0, 255) for uint8 and (0, 1) for the others. Values outside, or
        uint8 that never passes 1 where 255 is declared, are refused: nothing is ever rescaled in silence.
      num_classes: labels must be below it; by default one more than the largest of the training split.
      provenance: where the data come from, in words.
      overlap: what becomes of validation or test examples that training holds too, byte for byte: refused, or kept and
        counted in the provenance. "report" is for official splits, and for data of so few values that all recur.

    Raises:
      InputError: names split, row and value of what contradicts the declaration.
    """
    if overlap not in ("refuse", "report"):
        raise InputError(f"{name}: overlap must be 'refuse' or 'report', got {overlap!r}")
    (validation, cut_validation), (test, cut_test) = _in_memory("validation", validation), _in_memory("test", test)
    provenance += cut_validation + cut_test
    splits = {"train": train, "validation": validation, "test": test}
    range = _range_of(name, train.x, range)
    checked = {split: check(f"{name}, {split} split", splits[split], range) for split in splits}
    labelled = {split: part.label for split, part in checked.items() if part.label is not None}
    if num_classes is None and "train" in labelled:
        num_classes = int(labelled["train"].max()) + 1
    if num_classes is not None:
        for split, label in labelled.items():
            _check_classes(f"{name}, {split} split", label, num_classes)
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
    for split, label in labelled.items():
        checked[split] = checked[split]._replace(label=label.astype(np.int32))
    for field in ("length", "factors"):
        holders = [split for split in splits if getattr(checked[split], field) is not None]
        if holders and len(holders) < len(splits):
            raise InputError(f"{name}: only the {' and '.join(holders)} split has {field}; all must have it, or none")
    xs = {split: checked[split].x for split in splits}
    if overlap == "report":
        provenance += overlap_note(xs)
    else:
        refuse_overlap(name, xs, advice=", or pass overlap='report' to from_arrays")
    return Dataset(name, **checked, range=range, num_classes=num_classes, provenance=provenance)


def split_at_random(split: Split, sizes: tuple[int, ...], seed: int = 0, *, where: str = "data") -> list[Split]:
    """Returns splits of the first `sum(sizes)` rows of a fixed shuffle; they share no example.

    Copies of one example, byte for byte, stay together in the split of the first copy. So held-out examples are new to
    training. Copies change the sizes a little; without copies the sizes are exact. `RandomState` is
    numpy's frozen generator: the same rows on every version.

    Raises:
      InputError: there are so many copies that nothing is left to be held out.
    """
    x = split.x
    rows, ends = np.random.RandomState(seed).permutation(len(x))[: sum(sizes)], np.cumsum(sizes)
    first = {}
    leaders = np.array([first.setdefault(digest, i) for i, digest in enumerate(_digests(x[rows]))], int)
    together = np.argsort(leaders, kind="stable")
    starts = np.searchsorted(leaders[together], leaders[together])  # where the copies of an example begin
    which = np.searchsorted(ends, starts, side="right")
    splits = [rows[together[which == i]] for i in range(len(sizes))]
    if any(size and not len(part) for size, part in zip(sizes, splits, strict=True)):
        raise InputError(
            f"{where}: {len(rows)} examples, but only {len(first)} different ones, too few to hold out what training"
            " lacks; give more, or splits of your own by from_arrays(..., overlap='report')"
        )
    return [split.take(part) for part in splits]


def split_in_ten(where: str, split: Split) -> tuple[list[Split], str]:
    """Returns training, validation and test (80, 10, 10 percent of a fixed shuffle) and a note for the provenance."""
    size = _at_least_ten(where, split.x)
    sizes = size - 2 * (size // 10), size // 10, size // 10
    splits = split_at_random(split, sizes, where=where)
    return splits, f"; shuffled by RandomState(0) into 80, 10 and 10 percent{copies_note(split.x)}"


def hold_out_tenth(where: str, train: Split) -> tuple[list[Split], str]:
    """Returns training and validation, 90 and 10 percent of a fixed shuffle of the training split, and a note."""
    size = _at_least_ten(where, train.x)
    sizes = size - size // 10, size // 10
    splits = split_at_random(train, sizes, where=where)
    return splits, f"; validation is a tenth of training, drawn by RandomState(0){copies_note(train.x)}"


def copies_note(x: np.ndarray) -> str:
    """Returns a note for the provenance: the number of copies that `split_at_random` kept together; empty if none."""
    count = len(x) - len(set(_digests(x)))
    return f"; {count} of {len(x)} examples are copies, each kept in the split of its like" if count else ""


def in_common(xs: dict[str, np.ndarray]) -> dict[str, list[tuple[int, int]]]:
    """Returns the rows of each held-out split, with the row of training (the first split) that holds the same bytes.

    Splits that share nothing with training are not listed.
    """
    train, *held_out = ((split, _digests(x)) for split, x in xs.items())
    rows = {digest: row for row, digest in reversed(list(enumerate(train[1])))}
    pairs = {split: [(i, rows[d]) for i, d in enumerate(digests) if d in rows] for split, digests in held_out}
    return {split: shared for split, shared in pairs.items() if shared}


def refuse_overlap(where: str, xs: dict[str, np.ndarray], *, advice: str = "") -> None:
    """Refuses held-out splits that share an example with training, the first split.

    Raises:
      InputError: names how many they share, and one row of each.
    """
    train = next(iter(xs))
    for split, shared in in_common(xs).items():
        raise InputError(
            f"{where}: {len(shared)} of {len(xs[split])} examples of {split} are in {train} too (row {shared[0][0]} of"
            f" {split} is row {shared[0][1]} of {train}); held-out data must be new: remove them{advice}"
        )


def overlap_note(xs: dict[str, np.ndarray]) -> str:
    """Returns a note for the provenance: the number of held-out examples that training holds too; empty if none."""
    shared = in_common(xs)
    return "".join(
        f"; {len(shared[split])} of {len(xs[split])} {split} examples are in training too" for split in shared
    )


def _in_memory(name: str, split: Split) -> tuple[Split, str]:
    """A held-out split as arrays, and a note; of records, a part that fits in memory."""
    if not isinstance(split.x, Records):
        return split, ""
    size, most = len(split.x), max(1, _HELD_OUT_BYTES // split.x[:1].nbytes)
    if size <= most:
        return split._replace(x=np.asarray(split.x)), ""
    rows = np.sort(np.random.RandomState(0).permutation(size)[:most])
    drawn = split.take(rows)
    return drawn._replace(x=split.x.read(rows)), f"; {name} is {most} of {size} examples, drawn by RandomState(0)"


def _digests(x: np.ndarray | Records) -> list[bytes]:
    """sha256 of each example's bytes: 60,000 images of 28 x 28 take 50 ms, and no copy is kept."""
    if isinstance(x, Records):
        return x.digests
    x = np.ascontiguousarray(x)
    if np.issubdtype(x.dtype, np.floating):
        x = x + 0  # -0.0 and 0.0 are the same number in other bytes
    return [hashlib.sha256(row).digest() for row in x]


def _at_least_ten(where: str, x: np.ndarray) -> int:
    size = len(x) if np.ndim(x) else 0
    if size < 10:
        raise InputError(f"{where}: {size} examples; at least 10 are needed to make splits of them")
    return size


def checked_range(where: str, range: Range) -> Range:
    """Returns the range as two finite numbers, the lower first.

    Raises:
      InputError: they are not.
    """
    if len(range) != 2 or not all(map(math.isfinite, range)) or not range[0] < range[1]:
        raise InputError(f"{where}: a range must be two finite numbers, the lower first, got {range}")
    low, high = range
    return low, high


def _range_of(where: str, x: np.ndarray | Records, range: Range | None) -> Range:
    if range is None:
        range = (0, 255) if isinstance(x, Records) or np.asarray(x).dtype == np.uint8 else (0, 1)
    return checked_range(where, range)


def check(where: str, split: Split, range: Range | None = None) -> Split:
    """Returns a split as `from_arrays` keeps it; `where` begins the errors.

    Raises:
      InputError: names the row and the value of what contradicts the declaration.
    """
    x: Any = split.x if isinstance(split.x, Records) else _with_channels(where, np.asarray(split.x))
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
        outside = (
            x.outside if isinstance(x, Records) else lambda *_: ((x < low) | (x > high)).reshape(len(x), -1).any(1)
        )
        rows = outside(low, high)
        raise InputError(
            f"{where}: {x.dtype} values in [{x.min():g}, {x.max():g}] where [{low:g}, {high:g}] is declared"
            f" (first in row {int(np.argmax(rows))}); rescale them, or declare their range"
        )
    x = x if isinstance(x, Records) else np.ascontiguousarray(x)
    return split._replace(
        x=x,
        label=_checked_labels(where, split.label, len(x)),
        length=_checked_lengths(where, split.length, x),
        factors=_checked_factors(where, split.factors, len(x)),
    )


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


def _checked_lengths(where: str, length: np.ndarray | None, x: np.ndarray) -> np.ndarray | None:
    if length is None:
        return None
    length = np.asarray(length)
    if length.shape != (len(x),) or not np.issubdtype(length.dtype, np.integer):
        raise InputError(f"{where}: length must be {len(x)} integers, got {length.dtype} of shape {length.shape}")
    outside = (length < 1) | (length > x.shape[1])
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"{where}: length must be between 1 and {x.shape[1]}, got {length[row]} in row {row}")
    return length.astype(np.int32)


def _checked_factors(where: str, factors: np.ndarray | None, n: int) -> np.ndarray | None:
    if factors is None:
        return None
    factors = np.asarray(factors)
    if factors.ndim != 2 or len(factors) != n or not np.issubdtype(factors.dtype, np.number):
        raise InputError(f"{where}: factors must be numbers [{n}, f], got {factors.dtype} of shape {factors.shape}")
    factors = factors.astype(np.float32)
    finite = np.isfinite(factors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{where}: factors must be finite, got {factors[np.argmin(finite)]} in row {np.argmin(finite)}"
        )
    return factors


def _check_classes(where: str, label: np.ndarray, num_classes: int) -> None:
    outside = (label < 0) | (label >= num_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"{where}: label {label[row]} in row {row}; accepted are 0 to {num_classes - 1}")
