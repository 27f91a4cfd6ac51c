"""What the networks of a conditional model are given besides x or z: a class, known factors, or an image."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.types import Array, Batch, Shape, Tracer


class Condition(NamedTuple):
    """A function of the batch, and the shape of what networks see.

    Functions of a conditional model that take a `label` take the value of `of`. It is `[batch, ...]`, or of one example
    for all draws. Weights of classes may replace classes: floating point `[batch, classes]`, which sum to 1 per
    example. A row between two classes is an interpolation.

    Attributes:
      of: batch -> the value, `[batch, *shape]`; None if the batch lacks it.
      shape: shape for one example: `(c,)` of a vector, or `(height, width, channels)` of an image.
      classes: number of classes, if the value is a class `[batch]`, which networks see one-hot, or weights of classes.
    """

    of: Callable[[Batch], Array | None]
    shape: Shape
    classes: int | None = None

    def inputs(self, value: Array | None) -> tuple[Array, ...]:
        """Returns the inputs that follow x or z in a network, `[..., *shape]`.

        Raises:
          ValueError: the value is absent or has another shape; or weights of classes do not sum to 1 (tracers are not
            checked).
        """
        if self.classes is not None:
            if value is None:
                raise ValueError(f"a model conditional on one of {self.classes} classes needs a label per example")
            if _are_weights(value):
                return (_checked_weights(value, self.classes),)
            return (jax.nn.one_hot(value, self.classes),)
        got = None if value is None else jnp.shape(value)
        if got is None or got[len(got) - len(self.shape) :] != tuple(self.shape):
            raise ValueError(f"a model with a condition of shape {tuple(self.shape)} needs one per example, got {got}")
        return (value,)


def condition_of(classes: int | None, condition: Condition | None = None) -> Condition | None:
    """Returns the condition of a model: its own, or the class in `Batch.label`; None without either.

    Raises:
      ValueError: both are given.
    """
    if classes is None:
        return condition
    if condition is not None:
        raise ValueError(f"a model has `classes` or a `condition`, got {classes} classes and a condition")
    return Condition(lambda batch: batch.label, (classes,), classes)


def inputs_of(condition: Condition | None, value: Array | None) -> tuple[Array, ...]:
    """Returns the inputs that follow x or z in a network; none without a condition."""
    return () if condition is None else condition.inputs(value)


def first_inputs(condition: Condition | None) -> tuple[Array, ...]:
    """Returns the inputs with which networks are initialised: zeros for one example."""
    return () if condition is None else (jnp.zeros((1, *condition.shape)),)


def drawn_for(condition: Condition | None, value: Array | None, n: int) -> Array | None:
    """Returns the value for n draws: `[n, ...]` stays, and the value of one example serves all draws."""
    if condition is None or value is None:
        return value
    one_per_draw = condition.classes is not None and not _are_weights(value)
    return jnp.broadcast_to(value, (n, *(() if one_per_draw else condition.shape)))


def _are_weights(value: Array) -> bool:
    """Returns whether a label holds weights of classes: floating point, where classes are integers."""
    return jnp.issubdtype(jnp.result_type(value), jnp.floating)


def _checked_weights(weights: Array, classes: int) -> Array:
    """Returns weights of classes `[..., classes]`; refuses rows that do not sum to 1."""
    if not jnp.ndim(weights) or jnp.shape(weights)[-1] != classes:
        raise ValueError(f"weights of classes must be [n, {classes}], got {jnp.shape(weights)}")
    if not isinstance(weights, Tracer):
        sums = np.sum(np.asarray(weights, np.float64), axis=-1)
        if not np.allclose(sums, 1, rtol=0, atol=1e-4):
            raise ValueError(f"weights of classes must sum to 1 per example, got sums {sums.min():g} to {sums.max():g}")
    return jnp.asarray(weights)
