"""What the networks of a conditional model are given besides x or z: a class, known factors, or an image."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from genjax_models.types import Array, Batch, Shape


class Condition(NamedTuple):
    """A function of the batch, and the shape of what networks see.

    Functions of a conditional model that take a `label` take the value of `of`. It is `[batch, ...]`, or of one example
    for all draws.

    Attributes:
      of: batch -> the value, `[batch, *shape]`; None if the batch lacks it.
      shape: shape for one example: `(c,)` of a vector, or `(height, width, channels)` of an image.
      classes: number of classes, if the value is a class `[batch]`, which networks see one-hot.
    """

    of: Callable[[Batch], Array | None]
    shape: Shape
    classes: int | None = None

    def inputs(self, value: Array | None) -> tuple[Array, ...]:
        """Returns the inputs that follow x or z in a network, `[..., *shape]`.

        Raises:
          ValueError: the value is absent or has another shape.
        """
        if self.classes is not None:
            if value is None:
                raise ValueError(f"a model conditional on one of {self.classes} classes needs a label per example")
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
    shape = () if condition.classes is not None else tuple(condition.shape)
    return jnp.broadcast_to(value, (n, *shape))
