"""The checkerboard that a layer makes of a constant image, and that samples have (Odena, Dumoulin and Olah, 2016)."""

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


def nyquist_energy(images: Array) -> Array:
    """Returns the energy of each image at the Nyquist frequencies, `[n]`.

    These are (pi, 0), (0, pi) and (pi, pi): all that a pattern of period 2 has, except its mean. Energy is in units of
    the variance over pixels, which is the sum over all frequencies except 0; white noise of variance 1 has 3 / pixels.

    Args:
      images: `[n, height, width, channels]`, of even height and width. The energy is a mean over channels.

    Raises:
      ValueError: the images are of another rank, or of odd height or width.
    """
    if images.ndim != 4 or any(size % 2 or not size for size in images.shape[1:3]):
        raise ValueError(f"images must be [n, height, width, channels] of even height and width, got {images.shape}")
    rows, columns = (jnp.where(jnp.arange(size) % 2, -1.0, 1.0) for size in images.shape[1:3])
    rows, columns = rows[None, :, None, None], columns[None, None, :, None]
    waves = [jnp.mean(images * wave, axis=(1, 2)) for wave in (rows, columns, rows * columns)]
    return jnp.mean(sum(wave**2 for wave in waves), axis=-1)
