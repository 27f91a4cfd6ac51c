"""A data set: three splits of arrays, checked against their declared range, kind, shape and labels."""

import warnings
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from genjax_models.data.factors import Factor, checked_factors
from genjax_models.data.kinds import Kind, kind_in_words, kind_of, with_channels
from genjax_models.data.labels import (
    check_classes,
    check_num_classes,
    checked_labels,
    checked_names,
    count_classes,
    unused_note,
)
from genjax_models.data.records import Records
from genjax_models.data.scales import refuse_scales
from genjax_models.data.splits import Split, overlap_note, refuse_overlap
from genjax_models.data.steps import with_padding
from genjax_models.data.values import Range, checked_values, range_of, rounding_note
from genjax_models.errors import InputError
from genjax_models.types import Shape

_HELD_OUT_BYTES = 2**25  # of records that each held-out split keeps in memory


class Dataset(NamedTuple):
    """Three splits of checked arrays.

    Attributes:
      name: name of the data set, for messages and reports.
      train: split for training.
      validation: split on which runs are compared.
      test: split for reported figures.
      range: lowest and highest stored value.
      num_classes: number of classes; None without labels.
      provenance: source of the data, in words.
      kind: what an example is: images, vectors or sequences.
      class_names: name of each class; None if classes have only numbers.
      factors: description of each known factor of variation; None without factors.
      has_rows: whether sequences are images of one channel, whose rows are the steps.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    range: Range
    num_classes: int | None
    provenance: str
    kind: Kind
    class_names: tuple[str, ...] | None = None
    factors: tuple[Factor, ...] | None = None
    has_rows: bool = False

    @property
    def shape(self) -> Shape:
        """Returns the shape of one example."""
        return self.train.x.shape[1:]

    def in_order(self) -> Split | None:
        """Returns all examples in the order of their source; None if it had splits, or if they stay on disk."""
        parts = self.train, self.validation, self.test
        if self.train.row is None or isinstance(self.train.x, Records):
            return None
        fields = [name for name in Split._fields if getattr(self.train, name) is not None]
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in fields}
        return Split(**joined).take(np.argsort(joined["row"]))

    @property
    def is_binary(self) -> bool:
        """Returns whether all values are declared to be 0 or 1."""
        return tuple(self.range) == (0, 1) and self.train.x.dtype == np.uint8

    @property
    def is_grey(self) -> bool:
        """Returns whether the data are images of one channel or their rows, in [0, 1] or stored as bytes up to 255."""
        low, high = self.range
        in_unit = (low >= 0 and high <= 1) or (self.train.x.dtype == np.uint8 and (low, high) == (0, 255))
        return (self.has_rows or (self.kind == "images" and self.shape[2] == 1)) and in_unit

    @property
    def in_words(self) -> str:
        """Returns the kind of data with their type and range, as in "grey images of 28 x 28, uint8 in [0, 255]"."""
        low, high = self.range
        return f"{kind_in_words(self.kind, self.shape)}, {self.train.x.dtype} in [{low:g}, {high:g}]"


def from_splits(
    train: Split,
    validation: Split,
    test: Split,
    *,
    name: str = "arrays",
    range: Range | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    factors: Sequence[Factor] | None = None,
    kind: Kind | None = None,
    provenance: str = "given as arrays",
    overlap: Literal["refuse", "report"] = "refuse",
) -> Dataset:
    """Returns a checked data set of three splits; held-out splits share no example with training.

    Images `[n, height, width]` get a channel axis; `[n, height, width, channels]`, vectors `[n, d]` and sequences
    `[n, time, d]` stay. Values are uint8, bool or floating point (kept as float32). All splits have one type and one
    scale (see `data.scales`). `from_arrays` makes the splits itself; `from_sequences` takes lists of sequences.

    Args:
      train: split for training.
      validation: split on which runs are compared.
      test: split for reported figures.
      name: name for messages and reports.
      range: lowest and highest value; by default (0, 255) for uint8 and (0, 1) for other types. Values outside are
        refused, and so is uint8 up to 1 if 255 is declared: nothing is rescaled in silence. Floating point that leaves
        the range by rounding is clipped, and counted in the provenance.
      num_classes: number of classes; by default one more than the largest label of the training split. The provenance
        names classes without training examples, and by default a warning does too. By default labels that seem to be
        ids are refused (see `data.labels.count_classes`).
      class_names: name of each class, for reports; also the number of classes if `num_classes` is None.
      factors: description of each column of the splits' factors; by default their names are numbers.
      kind: images, vectors or sequences; needed for `[n, a, b]` that may be images or sequences (see `data.kinds`).
      provenance: source of the data, in words.
      overlap: "refuse", or "report" to keep validation and test examples that training holds too, byte for byte, and
        count them in the provenance. "report" is for official splits, and for data of few distinct values.

    Raises:
      InputError: the data contradict the arguments. The error names split, row and value.
    """
    if overlap not in ("refuse", "report"):
        raise InputError(f"{name}: overlap must be 'refuse' or 'report', got {overlap!r}")
    (validation, cut_validation), (test, cut_test) = _in_memory("validation", validation), _in_memory("test", test)
    provenance += cut_validation + cut_test
    splits = {"train": train, "validation": validation, "test": test}
    refuse_scales(name, {split: part.x for split, part in splits.items()})
    range = range_of(name, train.x, range)
    _check_held_by_all(name, splits)
    kind = kind_of(f"{name}, train split", train.x, kind, has_length=train.length is not None)
    checked = {split: check(f"{name}, {split} split", part, range, kind) for split, part in splits.items()}
    provenance += rounding_note({split: part.x for split, part in splits.items()}, range)
    if class_names is not None:
        class_names, num_classes = checked_names(name, class_names, num_classes)
    checked, num_classes, unused = _with_classes(name, checked, num_classes)
    provenance += unused
    shapes = {split: part.x.shape[1:] for split, part in checked.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"{name}: the splits must have examples of one shape, got {shapes}")
    columns = {split: part.factors.shape[1] for split, part in checked.items() if part.factors is not None}
    if len(set(columns.values())) > 1:
        raise InputError(f"{name}: the splits must have one number of factors, got {columns}")
    if range == (0, 255) and checked["train"].x.max() <= 1:
        raise InputError(
            f"{name}: uint8 values in [0, {checked['train'].x.max()}], but the declared range is (0, 255)."
            " For binary values use range=(0, 1) (--data-range 0 1), or x.astype(bool)"
        )
    xs = {split: part.x for split, part in checked.items()}
    if overlap == "report":
        provenance += overlap_note(xs)
    else:
        refuse_overlap(name, xs, advice=", or pass overlap='report' to from_splits or from_sequences")
    return Dataset(
        name,
        **checked,
        range=range,
        num_classes=num_classes,
        provenance=provenance,
        kind=kind,
        class_names=class_names,
        factors=checked_factors(name, factors, checked["train"].factors),
        has_rows=False,
    )


def _with_classes(
    name: str, splits: dict[str, Split], num_classes: int | None
) -> tuple[dict[str, Split], int | None, str]:
    """Returns the splits with labels that are classes, int32; the number of classes; and a note on unused ones."""
    labelled = {split: part.label for split, part in splits.items() if part.label is not None}
    counted = num_classes is None and "train" in labelled
    if counted:
        num_classes = count_classes(f"{name}, train split", labelled["train"])
    if num_classes is not None:
        check_num_classes(name, num_classes)
        for split, label in labelled.items():
            check_classes(f"{name}, {split} split", label, num_classes)
    if labelled and len(labelled) < len(splits):
        raise InputError(f"{name}: only the {' and '.join(labelled)} split has labels; all must have them, or none")
    note = ""
    if num_classes is not None and "train" in labelled:
        note = _unused_classes(name, labelled["train"], num_classes, warn=counted)
    small = {split: splits[split]._replace(label=label.astype(np.int32)) for split, label in labelled.items()}
    return splits | small, num_classes, note


def _unused_classes(name: str, label: np.ndarray, num_classes: int, *, warn: bool) -> str:
    """Returns a note for the provenance on classes without training examples, and may warn of them."""
    note = unused_note(label, num_classes)
    if note and warn:
        from_one = "Classes count from 0: subtract 1 from labels that count from 1"
        hint = from_one if label.min() == 1 else "Renumber the labels to leave out what is unused"
        warnings.warn(f"{name}: {note}. {hint}", stacklevel=4)
    return f"; {note}" if note else ""


def _check_held_by_all(name: str, splits: dict[str, Split]) -> None:
    for field in ("length", "factors"):
        holders = [split for split, part in splits.items() if getattr(part, field) is not None]
        if holders and len(holders) < len(splits):
            raise InputError(f"{name}: only the {' and '.join(holders)} split has {field}; all must have it, or none")


def _in_memory(name: str, split: Split) -> tuple[Split, str]:
    """Returns a held-out split as arrays, and a note; of records, as many as fit in memory."""
    if not isinstance(split.x, Records):
        return split, ""
    size, most = len(split.x), max(1, _HELD_OUT_BYTES // split.x[:1].nbytes)
    if size <= most:
        return split._replace(x=np.asarray(split.x)), ""
    rows = np.sort(np.random.RandomState(0).permutation(size)[:most])
    drawn = split.take(rows)
    return drawn._replace(x=split.x.read(rows)), f"; {name} is {most} of {size} examples, drawn by RandomState(0)"


def check(where: str, split: Split, range: Range | None = None, kind: Kind | None = None) -> Split:
    """Returns a split as `from_splits` keeps it; `where` begins the errors.

    Sequences without lengths are as long as x. Values after a sequence's end are no data: they become 0, or the end of
    the range that is nearest to 0.

    Raises:
      InputError: the data contradict the declared range or kind. The error names row and value.
    """
    x, length = split.x, split.length
    if not isinstance(x, Records):
        x = np.asarray(x)
        kind = kind_of(where, x, kind, has_length=length is not None)
        x = with_channels(where, x, kind)
        if kind == "sequences" and length is None:
            length = np.full(len(x), x.shape[1])
    length = _checked_lengths(where, length, x)
    if length is not None and not isinstance(x, Records):
        x = with_padding(x, length, np.clip(0, *range_of(where, x, range)))
    x = checked_values(where, x, range)
    x = x if isinstance(x, Records) else np.ascontiguousarray(x)
    return split._replace(
        x=x,
        label=checked_labels(where, split.label, len(x)),
        length=length,
        factors=_checked_factors(where, split.factors, len(x)),
    )


def _checked_lengths(where: str, length: np.ndarray | None, x: np.ndarray | Records) -> np.ndarray | None:
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
    with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused
        factors = factors.astype(np.float32)
    finite = np.isfinite(factors).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{where}: factors must be finite, got {factors[np.argmin(finite)]} in row {np.argmin(finite)}"
        )
    return factors
