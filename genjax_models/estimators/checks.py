"""Checks of arguments, made before an estimator computes."""

import math
import numbers

import jax.numpy as jnp
import numpy as np

from genjax_models.types import Array, Tracer

ONE_ROW_EACH = "x must be [batch, ...], a row for each q(z | x); one example needs its axis: x[None]"
_ROUNDING = 1e-6  # share of a range by which scaled values may leave it


def check_count(name: str, count: int, *, at_least: int = 1) -> None:
    """Raises ValueError unless `count` is an integer of at least `at_least`. True and 2.0 are not integers."""
    if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < at_least:
        raise ValueError(f"{name} must be an integer of at least {at_least}, got {count!r}")


def check_num_samples(num_samples: int) -> None:
    """Raises ValueError unless `num_samples` is an integer of at least 1."""
    check_count("num_samples", num_samples)


def check_floating(name: str, x: Array) -> None:
    """Raises ValueError unless x is floating point, as prepared data are. It looks at the type, so tracers may pass."""
    dtype = jnp.result_type(x)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{name} must be floating point, got {dtype}. Prepare the data: prepare(dataset)")


def check_prepared(name: str, x: Array, range: tuple[float, float] | None = None) -> None:
    """Checks that examples `[n, ...]` are prepared data: floating point, finite, and in `range` if there is one.

    Values are checked on the host only; of a traced array, the type.

    Raises:
      ValueError: names the first row and its value.
    """
    check_floating(name, x)
    if isinstance(x, Tracer) or not np.size(x) or not np.ndim(x):
        return
    low, high = (-math.inf, math.inf) if range is None else range
    slack = 0 if range is None else _ROUNDING * (high - low)
    rows = np.asarray(x).reshape(len(x), -1)
    inside = np.isfinite(rows) & (low - slack <= rows) & (rows <= high + slack)
    if not inside.all():
        row = int(np.argmin(inside.all(axis=1)))
        accepted = "finite" if range is None else f"in [{low:g}, {high:g}]"
        value = rows[row][np.argmin(inside[row])]
        raise ValueError(f"{name} must be {accepted}, got {value} in row {row}. Prepare the data: prepare(dataset)")
