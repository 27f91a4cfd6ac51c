"""What a network emits: x itself, or the named parameters of a distribution. Both kinds of generator of 20.10."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from genjax_models.networks.shapes import as_rows
from genjax_models.types import Array, Shape


class Output(NamedTuple):
    """One array for each example. Where `of_input` is false it is a learned constant, the same for every input."""

    shape: Shape
    of_input: bool = True


# A shape: the network emits that one array. A mapping: it emits a dictionary of arrays with these names.
Emits = Shape | Mapping[str, Output]
Emitted = Array | dict[str, Array]

_ONLY = "x"


def named(emits: Emits) -> Mapping[str, Output]:
    """`emits` as a mapping; a lone shape has the name "x"."""
    return emits if isinstance(emits, Mapping) else {_ONLY: Output(tuple(emits))}


def emit(module: nn.Module, emits: Emits, lead: Shape, compute: Callable[[str, Shape], Array]) -> Emitted:
    """Calls `compute(name, shape)` for each output of the input, and makes the learned constants.

    Args:
      module: the Flax module, inside its compact `__call__`, that owns the constants (zeros at first).
      emits: what is wanted.
      lead: the batch axes of the input.
      compute: -> `[*lead, *shape]`.

    Returns:
      An array `[*lead, *shape]` where `emits` is a shape, a dictionary of such arrays where it is a mapping.
    """
    outputs = {}
    for name, output in named(emits).items():
        if output.of_input:
            outputs[name] = compute(name, output.shape)
        else:
            constant = module.param(name, nn.initializers.zeros, output.shape)
            outputs[name] = jnp.broadcast_to(constant, (*lead, *output.shape))
    return outputs if isinstance(emits, Mapping) else outputs[_ONLY]


def dense_output(features: Array, name: str, shape: Shape) -> Array:
    """A linear layer of its own: features `[..., width]` -> `[..., *shape]`."""
    return nn.Dense(math.prod(shape), name=name)(as_rows(features)).reshape(*features.shape[:-1], *shape)
