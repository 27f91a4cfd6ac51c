"""Known factors of variation: their names and ranges, and sources that draw an example from its factors."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from genjax_models.errors import InputError


class Factor(NamedTuple):
    """A factor of variation: one column of `Batch.factors`.

    Attributes:
      name: name, as in "azimuth".
      size: number of values, or None if it is continuous. Values of a discrete factor are 0 to size - 1.
      range: lowest and highest value.
      circular: whether the lowest value follows the highest, as for angles.
      derived: whether it is computed from the drawing, and no input of the script.
    """

    name: str
    size: int | None
    range: tuple[float, float]
    circular: bool = False
    derived: bool = False


class Source(NamedTuple):
    """A generator of examples with known factors.

    Attributes:
      factors: the columns of the factors.
      sample(generator, n) -> factors `[n, f]`, float32; `generator` is a `numpy.random.RandomState`.
      draw(factors) -> examples, uint8 `[n, height, width, channels]`.
      range: lowest and highest value of the examples.
    """

    factors: tuple[Factor, ...]
    sample: Callable[[np.random.RandomState, int], np.ndarray]
    draw: Callable[[np.ndarray], np.ndarray]
    range: tuple[float, float] = (0, 255)


def checked_factors(
    name: str, factors: Sequence[Factor] | None, values: np.ndarray | None
) -> tuple[Factor, ...] | None:
    """Returns the description of the columns of `values` `[n, f]`; by default continuous factors with numbers as names.

    Raises:
      InputError: factors are described, but the data have none, or another number of columns.
    """
    if values is None:
        if factors is not None:
            raise InputError(f"{name}: {len(factors)} factors are described, but the splits have no factors")
        return None
    if factors is None:
        limits = zip(values.min(axis=0), values.max(axis=0), strict=True)
        return tuple(Factor(f"factor {i}", None, (float(low), float(high))) for i, (low, high) in enumerate(limits))
    if len(factors) != values.shape[1]:
        raise InputError(f"{name}: {len(factors)} factors are described, but the splits have {values.shape[1]} columns")
    return tuple(factors)


def checked_rows(name: str, factors: Sequence[Factor], values: np.ndarray) -> np.ndarray:
    """Returns the factors from which a source draws, float32 `[n, f]`. Continuous ones may leave their range.

    Raises:
      InputError: another number of columns, a value that is not finite, or no value of a discrete factor.
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or values.shape[1] != len(factors):
        raise InputError(f"{name}: factors must be [n, {len(factors)}], got shape {values.shape}")
    for column, factor in zip(values.T, factors, strict=True):
        wrong = ~np.isfinite(column)
        if factor.size:
            wrong |= (column != np.rint(column)) | (column < 0) | (column >= factor.size)
        if wrong.any():
            expected = f"an integer from 0 to {factor.size - 1}" if factor.size else "finite"
            row = int(np.argmax(wrong))
            raise InputError(f"{name}: {factor.name} must be {expected}, got {column[row]:g} in row {row}")
    return values
