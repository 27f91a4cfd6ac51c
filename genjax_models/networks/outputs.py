"""Outputs of a network: x itself, or the named parameters of a distribution.

These are the two kinds of generator of Section 20.10.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.shapes import as_rows
from genjax_models.types import Array, Shape


class Output(NamedTuple):
    """One array of `shape` per example. If `of_input` is false, one learned constant of `shape` for all examples."""

    shape: Shape
    of_input: bool = True


# A shape: the network emits one array. A mapping: it emits a dictionary of arrays with these names.
Emits = Shape | Mapping[str, Output]
Emitted = Array | dict[str, Array]

_ONLY = "x"


def named(emits: Emits) -> Mapping[str, Output]:
    """Returns `emits` as a mapping; a single shape has the name "x"."""
    return emits if isinstance(emits, Mapping) else {_ONLY: Output(tuple(emits))}


def emit(module: nn.Module, emits: Emits, compute: Callable[[str, Shape], Array]) -> Emitted:
    """Returns the outputs: calls `compute(name, shape)` for outputs of the input, and makes the learned constants.

    Args:
      module: the Flax module that owns the constants, inside its compact `__call__`. Constants start at zero.
      emits: the outputs of the network.
      compute: returns one output, `[*batch axes of the input, *shape]`.

    Returns:
      If `emits` is a shape, an array; if it is a mapping, a dictionary of arrays. Constants have no batch axes, so that
      what follows from them is computed once, and not for each example.
    """
    outputs = {}
    for name, output in named(emits).items():
        if output.of_input:
            outputs[name] = compute(name, output.shape)
        else:
            outputs[name] = module.param(name, nn.initializers.zeros, output.shape, jnp.float32)
    return outputs if isinstance(emits, Mapping) else outputs[_ONLY]


def with_batch_axes(emitted: Mapping[str, Array], emits: Emits, lead: Shape) -> dict[str, Array]:
    """Returns the outputs, where constants too have the batch axes: `[*lead, *shape]` each."""
    outputs = named(emits)
    return {
        name: array if outputs[name].of_input else jnp.broadcast_to(array, (*lead, *array.shape))
        for name, array in emitted.items()
    }


def dense_output(features: Array, name: str, shape: Shape) -> Array:
    """Maps features `[..., width]` to `[..., *shape]` by a linear layer of this name."""
    return nn.Dense(math.prod(shape), name=name)(as_rows(features)).reshape(*features.shape[:-1], *shape)
