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


def check_prepared(
    name: str, x: Array, range: tuple[float, float] | None = None, observed: Array | None = None
) -> None:
    """Checks that examples `[n, ...]` are prepared data: floating point, finite, and in `range` if there is one.

    Values are checked on the host only, everywhere or where `observed` (bool, of x's shape) is true; of a traced array,
    the type.

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
    inside |= False if observed is None else ~np.reshape(observed, rows.shape)
    if not inside.all():
        row = int(np.argmin(inside.all(axis=1)))
        accepted = "finite" if range is None else f"in [{low:g}, {high:g}]"
        value = rows[row][np.argmin(inside[row])]
        raise ValueError(f"{name} must be {accepted}, got {value} in row {row}. Prepare the data: prepare(dataset)")


def check_binary(name: str, x: Array, observed: Array | None = None) -> None:
    """Checks on the host that x is 0 or 1, everywhere or where `observed` (bool, of its shape) is true.

    Raises:
      ValueError: names the first other value.
    """
    if isinstance(x, Tracer) or isinstance(observed, Tracer):
        return
    values = np.ravel(x) if observed is None else np.asarray(x)[np.asarray(observed)]
    binary = np.isin(values, (0, 1))
    if not binary.all():
        where = "" if observed is None else " where it is observed"
        raise ValueError(f"{name} must be 0 or 1{where}, got {values[~binary][0]}. Binarise the data.")


def check_steps(
    name: str, x: Array, length: Array | None, range: tuple[float, float] | None = None, *, binary: bool = False
) -> None:
    """Checks sequences x `[batch, time, ...]` up to their lengths; the padding may hold anything.

    It does as `check_prepared`, and with `binary` as `check_binary`. Without lengths, all steps are true.

    Raises:
      ValueError: names the first row and its value.
    """
    if isinstance(length, Tracer):
        check_floating(name, x)
        return
    seen = None
    if length is not None and not isinstance(x, Tracer):
        within = np.arange(np.shape(x)[1]) < np.asarray(length)[:, None]
        seen = np.broadcast_to(within.reshape(*within.shape, *[1] * (np.ndim(x) - 2)), np.shape(x))
    check_prepared(name, x, range, seen)
    if binary:
        check_binary(name, x, seen)


def check_labels(label: Array, classes: int) -> None:
    """Checks that labels `[n]` are integers, and on the host that they are 0 to `classes` - 1.

    Raises:
      ValueError: names the type, or the first other row.
    """
    dtype = jnp.result_type(label)
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(f"labels must be integers, got {dtype}")
    if isinstance(label, Tracer):
        return
    label = np.asarray(label)
    outside = (label < 0) | (label >= classes)
    if outside.any():
        raise ValueError(
            f"labels must be 0 to {classes - 1}, got {label[np.argmax(outside)]} in row {np.argmax(outside)}"
        )
