"""A family of distributions whose parameters a network emits."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import distrax
import jax

from genjax_models.networks.outputs import Output
from genjax_models.types import Array, Shape

# Standard deviations stay in [1e-4, inf): a scale that underflows in float32 has no gradient.
_SMALLEST_SCALE = 1e-4


class Family(NamedTuple):
    """Distributions over arrays of `event_shape`, indexed by the outputs of a network.

    Attributes:
      event_shape: shape of one event.
      outputs: name -> an output that the network must emit.
      distribution: emitted parameters, leaves `[..., *output]` -> a distribution of batch shape `[...]`.
      support: lowest and highest value of an event; None if unbounded.
      binary: whether events are 0 or 1, and values between them have no probability.
    """

    event_shape: Shape
    outputs: Mapping[str, Output]
    distribution: Callable[[Any], distrax.Distribution]
    support: tuple[float, float] | None = None
    binary: bool = False


def positive(raw: Array) -> Array:
    """Returns a scale in [1e-4, inf), softplus(raw) + 1e-4. Unlike exp of a log-variance it does not overflow."""
    return jax.nn.softplus(raw) + _SMALLEST_SCALE
