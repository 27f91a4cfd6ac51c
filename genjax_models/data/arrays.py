"""Arrays in memory as a data set, which is split by one fixed shuffle."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genjax_models.data.dataset import Dataset, Range, check, from_splits
from genjax_models.data.factors import Factor
from genjax_models.data.kinds import Kind
from genjax_models.data.labels import numbered
from genjax_models.data.splits import Split, split_in_ten
from genjax_models.data.values import range_of, rounding_note
from genjax_models.errors import InputError

_LARGEST = 2**24  # integers up to which float32 holds all


def from_arrays(
    x: Any,
    label: Any = None,
    *,
    length: Any = None,
    factors: Any = None,
    described: Sequence[Factor] | None = None,
    kind: Kind | None = None,
    range: Range | None = None,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
    name: str = "arrays",
    provenance: str = "given as arrays",
    seed: int = 0,
) -> Dataset:
    """Returns arrays as a data set: 80, 10 and 10 percent of one shuffle for training, validation and test.

    Each class has its share in every split. Copies of one example, byte for byte, stay in one split. Arrays are of
    numpy or jax, or nested lists. Integers are kept as bytes if they are in [0, 255], or else as float32 in the
    declared range; zeros and ones are binary. `from_splits` takes splits of your own.

    Args:
      x: examples: images `[n, height, width, channels]` or `[n, height, width]`, vectors `[n, d]`, sequences
        `[n, time, d]`.
      label: classes `[n]`: integers that count from 0, or texts, which become `class_names`.
      length: true number of steps of each sequence, `[n]`.
      factors: known factors of variation, `[n, f]`.
      described: description of each column of `factors`; by default their names are numbers.
      kind: images, vectors or sequences; needed for `[n, a, b]` that may be images or sequences.
      range: lowest and highest value; by default (0, 255) for integers up to 255, and (0, 1) for other types.
      num_classes: number of classes; by default one more than the largest label.
      class_names: name of each class.
      name: name for messages and reports.
      provenance: source of the data, in words.
      seed: seed of the shuffle, in [0, 2^32).

    Raises:
      InputError: the arrays contradict the arguments (the error names row and value), or have fewer than ten examples.
    """
    if isinstance(x, Split):
        raise InputError(f"{name}: x must be an array, got a Split. Use from_splits(train, validation, test)")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise InputError(f"{name}: `seed` must be an integer in [0, 2^32), got {seed!r}")
    values, note = kept_integers(name, plain_array(name, "x", x), range)
    numbers, names = (None, None) if label is None else numbered(plain_array(name, "label", label))
    optional = {"length": length, "factors": factors}
    others = {field: None if value is None else plain_array(name, field, value) for field, value in optional.items()}
    range = range_of(name, values, range)
    whole = check(name, Split(values, numbers, **others), range, kind)  # before the shuffle, so that errors name rows
    note += rounding_note({"x": values}, range)
    splits, how = split_in_ten(name, whole, seed)
    return from_splits(
        *splits,
        name=name,
        range=range,
        num_classes=num_classes,
        class_names=names if class_names is None else class_names,
        factors=described,
        kind=kind,
        provenance=f"{provenance}{note}{how}",
    )


def plain_array(name: str, field: str, value: Any) -> np.ndarray:
    """Returns a value as an array of numbers or texts; `name` begins the errors.

    Raises:
      InputError: it is no array, or has masked values or objects.
    """
    try:
        array = np.asarray(value)
    except Exception as error:  # nested lists of several lengths, or a traced array
        raise InputError(f"{name}: {field} must be an array, or lists of equal lengths ({error})") from error
    if np.ma.is_masked(value):
        raise InputError(f"{name}: {field} has masked values, which would become data. Fill them, or remove their rows")
    if array.dtype == object:
        raise InputError(f"{name}: {field} must be numbers, got {type(value).__name__} of objects")
    return array


def kept_integers(name: str, x: np.ndarray, range: Range | None) -> tuple[np.ndarray, str]:
    """Returns integers as bool, uint8 or float32, and a note for the provenance; other types stay unchanged."""
    if x.dtype.kind not in "iu" or x.dtype == np.uint8 or not x.size:
        return x, ""
    low, high = int(x.min()), int(x.max())
    if low >= 0 and high <= 1 and (range is None or tuple(range) == (0, 1)):
        return x.astype(bool), f"; {x.dtype} of zeros and ones, kept as binary"
    if low >= 0 and high <= 255 and (range is None or tuple(range) == (0, 255)):
        return x.astype(np.uint8), f"; {x.dtype} in [{low}, {high}], kept as bytes"
    if range is not None and low >= -_LARGEST and high <= _LARGEST:
        return x.astype(np.float32), f"; {x.dtype} in [{low}, {high}], kept as float32"
    return x, ""  # refused by `check`, with the remedy
