"""What is observed of the units of a Boltzmann machine, checked; see `models.boltzmann`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_binary, check_labels
from genjax_models.types import Array, Shape


class Evidence(NamedTuple):
    """The observed values, with zeros at missing ones."""

    v: Array  # [batch, d]
    v_observed: Array  # bool [batch, d]
    y: Array | None  # one-hot, [batch, classes]
    y_observed: Array | None  # bool [batch, 1]


def evidence_of(
    shape: Shape,
    classes: int | None,
    x: Array,
    observed: Array,
    label: Array | None = None,
    label_observed: Array | None = None,
) -> Evidence:
    """Returns the observed values of a machine of this shape and these classes; traced values are not checked.

    Raises:
      ValueError: x, `observed`, `label` or `label_observed` do not fit.
    """
    if x.shape[1:] != shape:
        raise ValueError(f"x must be [batch, {', '.join(map(str, shape))}], got the shape {x.shape}")
    _check_mask("observed", observed, x.shape)
    check_binary("x", x, observed)
    x, observed = x.reshape(len(x), -1), observed.reshape(len(x), -1)
    v = jnp.where(observed, x, 0).astype(jnp.float32)
    if classes is None:
        return Evidence(v, observed, None, None)
    if label is None and label_observed is not None:
        raise ValueError("`label_observed` needs `label`.")
    if label is None:
        label, label_observed = jnp.zeros(len(x), jnp.int32), jnp.zeros(len(x), bool)
    if label_observed is None:
        label_observed = jnp.ones(len(x), bool)
    _check_mask("label_observed", label_observed, (len(x),))
    if label.shape != (len(x),):
        raise ValueError(f"label must be of the shape ({len(x)},), one per example, got the shape {label.shape}")
    shown = jnp.where(label_observed, label, 0)
    check_labels(shown, classes)
    y = jax.nn.one_hot(shown, classes, dtype=v.dtype)
    return Evidence(v, observed, y, label_observed[:, None])


def _check_mask(name: str, mask: Array, shape: Shape) -> None:
    if mask.dtype != bool or mask.shape != shape:
        raise ValueError(f"{name} must be bool of the shape {shape}, got {mask.dtype} of the shape {mask.shape}")
