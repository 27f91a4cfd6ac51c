"""A family of distributions whose parameters a network emits."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import distrax
import jax

from genjax_models.networks.outputs import Output
from genjax_models.types import Array, Shape

# Standard deviations stay in [1e-4, inf): what underflows below that has lost its gradient in float32.
_SMALLEST_SCALE = 1e-4


class Family(NamedTuple):
    """Distributions over arrays of `event_shape`, indexed by what a network emits.

    `outputs` says what the network must emit, `distribution` makes the distribution of it; parameters with leaves
    `[..., *output]` give batch shape `[...]`.
    """

    event_shape: Shape
    outputs: Mapping[str, Output]
    distribution: Callable[[Mapping[str, Array]], distrax.Distribution]


def positive(raw: Array) -> Array:
    """Any number -> a scale in [1e-4, inf), softplus(raw) + 1e-4: never an overflow, as exp of a log-variance is."""
    return jax.nn.softplus(raw) + _SMALLEST_SCALE
