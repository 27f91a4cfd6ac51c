"""The checkerboard that a layer makes of a constant image (Odena, Dumoulin and Olah, 2016)."""

from typing import NamedTuple

import jax.numpy as jnp

from genjax_models.networks.upsampling import Upsampling, upsampled
from genjax_models.types import Array


class Checkerboard(NamedTuple):
    """The response of a layer to a constant image.

    Attributes:
      amplitude: standard deviation over the four pixels of a block, relative to their root mean square, in [0, 1].
        Squares are means over channels.
      output: the output for an input of ones, far from the edges, `[height, width, channels]`.
    """

    amplitude: Array
    output: Array


def checkerboard(kernel: Array, kind: Upsampling, blocks: int = 4) -> Checkerboard:
    """Returns the output of `upsampled` for a constant image of ones, and its variation within blocks of 2 x 2.

    Args:
      kernel: `[height, width, in, out]`.
      kind: how the image doubles.
      blocks: blocks of the output per side, at a distance from the edges that the kernel does not reach across.
    """
    edge = max(kernel.shape[:2])
    side = blocks + 2 * edge
    inner = slice(2 * edge, -2 * edge)
    output = upsampled(jnp.ones((1, side, side, kernel.shape[2])), kernel, kind)[0, inner, inner]
    pixels = output[:2, :2].reshape(4, -1)  # all blocks are alike
    variance = jnp.mean(jnp.var(pixels, axis=0))
    return Checkerboard(jnp.sqrt(variance / jnp.maximum(jnp.mean(pixels**2), 1e-30)), output)
