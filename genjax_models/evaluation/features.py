"""Features, by which samples and data are compared; every figure has their name."""

import re
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_prepared
from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.types import Array, Tracer


class Features(NamedTuple):
    """A function of examples with a name.

    Attributes:
      name: end of the names of figures, as in "frechet_distance_on_pixels". Figures on two kinds of features do not
        compare.
      function: images `[n, height, width, channels]` (or examples of any shape) -> `[n, d]`.
      range: lowest and highest value of the examples that the function takes; None if it takes all.
    """

    name: str
    function: Callable[[Array], Array]
    range: tuple[float, float] | None = None


PIXELS = Features("pixels", lambda x: x.reshape(len(x), -1))  # the values themselves


def extract(features: Features, x: Array, *, batch_size: int = 500, name: str = "x") -> Array:
    """Returns the features `[n, d]` of `x` `[n, ...]`, computed for `batch_size` examples at a time.

    While tracing, the function is traced too. With concrete arrays it is called as it is, so it need not be jax.

    Raises:
      ValueError: x is not floating point, the function does not return `[n, d]`, or the name of the features cannot end
        the name of a figure. On the host: x is not finite or leaves the range of the features. The error has `name`,
        the row and the value.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", features.name) or features.name.endswith("_se"):
        raise ValueError(f"the name of features must be of a-z, 0-9 and _, and not end in _se, got {features.name!r}")
    check_prepared(name, x, features.range)
    if isinstance(x, Tracer):
        values = map_blocks(features.function, x, batch_size)
    else:
        parts = [features.function(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
        values = np.concatenate([np.asarray(part) for part in parts]) if parts else np.zeros((0, 1))
    if np.ndim(values) != 2 or len(values) != len(x):
        raise ValueError(f"features {features.name} of {len(x)} examples must be [{len(x)}, d], got {np.shape(values)}")
    return values


def check_features(at_least: int, **values: Array) -> None:
    """Checks that all are `[n, d]` with one d, finite in float32, and have `at_least` rows.

    Tracers are checked by shape only: a figure of values that are not finite is NaN or infinite.

    Raises:
      ValueError: one of them is different. The error names it, and the row.
    """
    for name, x in values.items():
        if np.ndim(x) != 2 or not np.shape(x)[1]:
            raise ValueError(f"{name} must be features [n, d], d at least 1, got shape {np.shape(x)}")
        if len(x) < at_least:
            raise ValueError(f"{name} must be at least {at_least}, got {len(x)}")
    check_prepared_alike(**values)
    sizes = {name: np.shape(x)[1] for name, x in values.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"features must have one size, got {sizes}")
    for name, x in values.items():
        if not isinstance(x, Tracer):
            finite = (np.abs(np.asarray(x)) <= np.finfo(np.float32).max).all(axis=1)
            if not finite.all():
                raise ValueError(f"{name} must be finite: {np.sum(~finite)} of {len(x)} rows are not, the first is row"
                                 f" {int(np.argmin(finite))}")  # fmt: skip


def check_squares(**values: Array) -> None:
    """Checks that float32 can hold the squared distances of all `[n, d]`.

    Tracers are not checked: a figure whose squares overflow is NaN or infinite, and points whose squares vanish are
    equal.

    Raises:
      ValueError: a value is above 1e18 / sqrt(d) in size, or all are below 1e-15, and not all 0.
    """
    if any(isinstance(x, Tracer) for x in values.values()):
        return
    sizes = {name: largest(x) for name, x in values.items()}
    name, size = max(sizes.items(), key=lambda item: item[1])
    limit = 1e18 / np.shape(values[name])[1] ** 0.5
    if size > limit or 0 < size < 1e-15:
        raise ValueError(
            f"{name} must have a largest value from 1e-15 to {limit:.1e}, so that float32 holds squares, got {size:.2g}"
            ". Scale all features by one number."
        )


def largest(*values: Array) -> float:
    """Returns the largest absolute value of all arrays, in float64."""
    return max(float(np.max(np.abs(np.asarray(x, np.float64)))) for x in values)


def check_prepared_alike(**values: Array) -> None:
    """Checks that all are floating point, because `Prepared.train` holds values as they are stored.

    Raises:
      ValueError: one of them is not floating point.
    """
    kinds = {name: str(x.dtype) for name, x in values.items()}
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in values.values()):
        raise ValueError(
            f"all must be floating point, prepared alike (training data by `Prepared.training_examples`), got {kinds}"
        )


def flat(x: Array) -> Array:
    """Returns `[n, ...]` as `[n, d]`; arrays without examples or without their axis stay unchanged."""
    return x.reshape(len(x), -1) if np.ndim(x) > 1 and np.size(x) else x
