"""Labels of a data set: integers that count classes from 0, checked before they become int32."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genjax_models.errors import InputError

LARGEST = 2**31 - 1  # of int32
_FEW = 10  # numbers of classes up to which unused ones are only said
_RENUMBER = "Renumber the labels of all splits together: numpy.unique(labels, return_inverse=True)[1]"


def checked_labels(where: str, label: np.ndarray | None, n: int) -> np.ndarray | None:
    """Returns labels as integers `[n]`, which int32 can hold; `where` begins the errors.

    Raises:
      InputError: they are something else. The error names the row of a label that int32 cannot hold.
    """
    if label is None:
        return None
    label = np.asarray(label)
    if label.shape != (n,) or not np.issubdtype(label.dtype, np.integer):
        raise InputError(f"{where}: labels must be {n} integers, got {label.dtype} of shape {label.shape}")
    for row in (int(label.argmax()), int(label.argmin())):
        if not -LARGEST <= int(label[row]) <= LARGEST:
            raise InputError(
                f"{where}: labels must be 0, 1, 2, ... and fit in int32, got {label[row]} in row {row}. {_RENUMBER}"
            )
    return label


def count_classes(where: str, label: np.ndarray) -> int:
    """Returns one more than the largest label of the training split.

    Raises:
      InputError: a label is negative; or labels seem to be ids. Of more than ten classes more than half have no
        example; or each of more than ten examples has a label of its own.
    """
    if label.min() < 0:
        row = int(np.argmin(label))
        raise InputError(f"{where}: labels must count the classes from 0, got {label[row]} in row {row}. {_RENUMBER}")
    used, classes = _used(label), max(1, int(label.max()) + 1)
    if classes > max(_FEW, 2 * len(used)) or len(used) == len(label) > _FEW:
        raise InputError(
            f"{where}: labels must count the classes from 0, got {len(used)} different ones from {used[0]}"
            f" to {used[-1]} for {len(label)} examples, which seem to be ids. {_RENUMBER}; or pass num_classes to"
            " from_splits"
        )
    return classes


def check_classes(where: str, label: np.ndarray, num_classes: int) -> None:
    """Refuses labels that are no classes.

    Raises:
      InputError: names the first row.
    """
    outside = (label < 0) | (label >= num_classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise InputError(f"{where}: labels must be 0 to {num_classes - 1}, got {label[row]} in row {row}")


def check_num_classes(where: str, num_classes: int) -> None:
    """Refuses a number of classes that int32 labels cannot count.

    Raises:
      InputError: names the number.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise InputError(f"{where}: num_classes must be an integer, got {num_classes!r}")
    if not 1 <= num_classes <= LARGEST:
        raise InputError(f"{where}: num_classes must be from 1 to {LARGEST}, got {num_classes}")


def checked_names(where: str, names: Sequence[str], num_classes: int | None) -> tuple[tuple[str, ...], int]:
    """Returns the names of the classes, and their number.

    Raises:
      InputError: they are no different texts, one per class.
    """
    names = names if isinstance(names, str) else tuple(names)
    if (
        isinstance(names, str)
        or not all(isinstance(name, str) for name in names)
        or not 0 < len(set(names)) == len(names)
    ):
        raise InputError(f"{where}: class_names must be different texts, one per class, got {names!r}")
    if num_classes not in (None, len(names)):
        raise InputError(f"{where}: class_names must be {num_classes} texts, one per class, got {len(names)}")
    return names, len(names)


def numbered(label: Any) -> tuple[Any, tuple[str, ...] | None]:
    """Returns labels as they are; texts become numbers in the order of the texts, which are returned as names."""
    array = np.asarray(label)
    if array.dtype.kind not in "US":
        return label, None
    names, numbers = np.unique(array.astype(str), return_inverse=True)
    return numbers.reshape(array.shape), tuple(names.tolist())


def unused_note(label: np.ndarray, num_classes: int) -> str:
    """Returns which classes have no training example, in words; empty if all have one."""
    used = set(_used(label).tolist())
    count, unused = num_classes - len(used), []
    for number in range(num_classes):
        if len(unused) == min(count, 10):
            break
        unused += [] if number in used else [number]
    if not count:
        return ""
    if count == 1:
        return f"class {unused[0]} of {num_classes} has no training example"
    more = f" and {count - len(unused)} more" if count > len(unused) else ""
    return f"{count} of {num_classes} classes have no training example: {', '.join(map(str, unused))}{more}"


def _used(label: np.ndarray) -> np.ndarray:
    """Returns the different labels from 0 on, sorted."""
    used = np.unique(label)
    return used[used >= 0]
