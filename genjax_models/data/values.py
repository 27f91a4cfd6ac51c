"""Stored values: their types and their range, checked; an error says how to convert them or to declare their range."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from genjax_models.data.records import Records
from genjax_models.errors import InputError

Range = tuple[float, float]

COMMON_RANGES = ((0, 1), (-1, 1), (0, 255))  # in which data are usually stored, the narrowest first
_ROUNDING = 1e-6  # share of the larger end of a range by which rounding leaves it in float32


def checked_range(where: str, range: Range) -> Range:
    """Returns the range as two finite numbers, the lower first.

    Raises:
      InputError: the range is something else.
    """
    ends = list(range) if isinstance(range, Sequence | np.ndarray) and not isinstance(range, str) else []
    if len(ends) != 2 or not all(isinstance(end, Real) and math.isfinite(end) for end in ends) or not ends[0] < ends[1]:
        raise InputError(f"{where}: `range` must be two finite numbers, the lower first, got {range}")
    low, high = ends
    return low, high


def range_of(where: str, x: Any, range: Range | None) -> Range:
    """Returns the checked range of values as they are stored; None is (0, 255) for uint8 and (0, 1) for other types.

    Raises:
      InputError: `range` is not None, and no range.
    """
    if range is None:
        range = (0, 255) if isinstance(x, Records) or np.asarray(x).dtype == np.uint8 else (0, 1)
    return checked_range(where, range)


def checked_values(where: str, x: Any, range: Range | None) -> Any:
    """Returns values as they are kept, uint8 or float32 `[n, *shape]`; `where` begins the errors.

    Floating point that leaves the range by rounding is clipped (see `rounding_note`).

    Raises:
      InputError: values have another type, are not finite, or leave the range. The error names row and value.
    """
    low, high = range_of(where, x, range)
    slack = _slack(x.dtype, low, high)
    if x.dtype == np.bool_:
        x = x.astype(np.uint8)
    if np.issubdtype(x.dtype, np.floating):
        with np.errstate(over="ignore"):  # values beyond float32 become infinite, and are refused
            x = x.astype(np.float32)
        finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InputError(f"{where}: values must be finite, got {x[row][~np.isfinite(x[row])][0]} in row {row}")
    elif x.dtype != np.uint8:
        raise InputError(f"{where}: x must be uint8, bool or floating point, got {x.dtype}{_how_to_convert(x)}")
    if x.min() < low or x.max() > high:
        if low - slack <= x.min() and x.max() <= high + slack:
            return x.clip(low, high)
        rows = x.outside(low, high) if isinstance(x, Records) else ((x < low) | (x > high)).reshape(len(x), -1).any(1)
        raise InputError(
            f"{where}: {x.dtype} values must be in [{low:g}, {high:g}], got [{x.min():g}, {x.max():g}]"
            f" (first in row {int(np.argmax(rows))}). Rescale or clip them, or declare their range, as by"
            f" {_declared(x.min(), x.max())}"
        )
    return x


def rounding_note(xs: dict[str, Any], range: Range) -> str:
    """Returns a note for the provenance: the number of values of each split that `checked_values` clips; or nothing."""
    low, high = range
    note = ""
    for split, x in xs.items():
        if isinstance(x, Records) or not np.issubdtype(np.asarray(x).dtype, np.floating):
            continue
        x = np.asarray(x).astype(np.float32)
        if x.min() < low or x.max() > high:
            count = np.sum((x < low) | (x > high))
            most = max(low - x.min(), x.max() - high)
            note += (
                f"; {count} of {x.size} values of {split} leave [{low:g}, {high:g}] by rounding, at most {most:.2g},"
            )
            note += " and are clipped"
    return note


def _slack(dtype: np.dtype, low: float, high: float) -> float:
    """Returns by how much rounding can leave the range; a float16 above 1 is larger by 1e-3."""
    if not np.issubdtype(dtype, np.floating):
        return 0.0
    return max(_ROUNDING, 2 * float(np.finfo(dtype).eps)) * max(abs(low), abs(high))


def _how_to_convert(x: np.ndarray) -> str:
    if x.dtype.kind not in "iu":
        return ""
    low, high = int(x.min()), int(x.max())
    values = f" values in [{low}, {high}]. Convert them by"
    if low >= 0 and high <= 1:
        return f"{values} x.astype(bool)"
    if low >= 0 and high <= 255:
        return f"{values} x.astype(numpy.uint8)"
    return f"{values} x.astype(numpy.float32), and declare their range by {_declared(low, high)}"


def _declared(low: float, high: float) -> str:
    """Returns the argument and the flag that declare a range of these values; a common range if they are in one."""
    common = [one for one in COMMON_RANGES if one[0] <= low and high <= one[1]]
    low, high = common[0] if common else (min(0, math.floor(low)), max(0, math.ceil(high)))
    first, last = (str(end) if abs(end) < 1e15 else repr(float(end)) for end in (low, high))
    return f"range=({first}, {last}) (--data-range {first} {last})"
