"""Features: what samples and data are compared by, under a name that every figure carries."""

import re
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.types import Array, Tracer


class Features(NamedTuple):
    """`function`: images `[n, height, width, channels]` (or examples of any shape) -> `[n, d]`.

    `name` ends the names of figures, as in "frechet_distance_on_pixels": figures on other features are other figures.
    """

    name: str
    function: Callable[[Array], Array]


PIXELS = Features("pixels", lambda x: x.reshape(len(x), -1))  # the values themselves


def extract(features: Features, x: Array, *, batch_size: int = 500) -> Array:
    """`features.function` of `x` `[n, ...]`, `batch_size` examples at a time: `[n, d]`, floating point.

    While tracing, the function is traced too; of arrays on hand it is called as it is, and may be anybody's.

    Raises:
      ValueError: the function gives no `[n, d]`, or the name is none that a figure can end with.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", features.name) or features.name.endswith("_se"):
        raise ValueError(f"a name of features is of a-z, 0-9 and _, and does not end in _se, got {features.name!r}")
    if isinstance(x, Tracer):
        values = map_blocks(features.function, x, batch_size)
    else:
        parts = [features.function(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
        values = np.concatenate([np.asarray(part) for part in parts]) if parts else np.zeros((0, 1))
    if np.ndim(values) != 2 or len(values) != len(x):
        raise ValueError(f"features {features.name} are [{len(x)}, d] for {len(x)} examples, got {np.shape(values)}")
    return values


def check_features(at_least: int, **values: Array) -> None:
    """Nothing, if all are `[n, d]` of one d, finite, and each has `at_least` so many rows.

    Values are looked at where they are on hand; tracers have none.

    Raises:
      ValueError: names which is not, and the row.
    """
    for name, x in values.items():
        if np.ndim(x) != 2 or not np.shape(x)[1]:
            raise ValueError(f"{name} must be features [n, d], d at least 1, got the shape {np.shape(x)}")
        if len(x) < at_least:
            raise ValueError(f"{name} must be at least {at_least}, got {len(x)}")
    check_prepared_alike(**values)
    sizes = {name: np.shape(x)[1] for name, x in values.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"features of one size are compared, got {sizes}")
    for name, x in values.items():
        if not isinstance(x, Tracer):
            finite = np.isfinite(np.asarray(x)).all(axis=1)
            if not finite.all():
                raise ValueError(f"{name} must be finite: {np.sum(~finite)} of {len(x)} rows are not, the first is row"
                                 f" {int(np.argmin(finite))}")  # fmt: skip


def check_prepared_alike(**values: Array) -> None:
    """Nothing, unless some are whole numbers and others not: the training split of `prepare` is as it is stored.

    Raises:
      ValueError: they are not all floating point.
    """
    kinds = {name: str(x.dtype) for name, x in values.items()}
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in values.values()):
        raise ValueError(f"all must be floating point, prepared alike (the training split is stored raw), got {kinds}")


def flat(x: Array) -> Array:
    """`[n, ...]` -> `[n, d]`, where it is an array with an axis of examples."""
    return x.reshape(len(x), -1) if np.ndim(x) > 1 and np.size(x) else x
