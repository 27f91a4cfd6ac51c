"""Random changes of pictures whose parameters are known: further factors of variation (Dosovitskiy et al., 2015)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.types import Array, PRNGKey

NAMES = ("rotate", "move right", "move down", "zoom", "stretch", "hue", "saturation", "brightness")
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)


class Transformations(NamedTuple):
    """The largest change of each kind; 0 leaves a kind out. A parameter of 1 is this change, -1 its inverse.

    Attributes:
      rotate: angle, in degrees.
      move: share of the side, along both axes.
      zoom: factor of the size, less 1.
      stretch: factor of the width, less 1; the height shrinks by the same factor.
      hue: angle around the grey axis, in degrees.
      saturation: factor of the colours' distances from grey, less 1.
      brightness: factor of all colours, less 1.
    """

    rotate: float = 10.0
    move: float = 0.05
    zoom: float = 0.1
    stretch: float = 0.1
    hue: float = 20.0
    saturation: float = 0.2
    brightness: float = 0.2


def drawn(key: PRNGKey, n: int, still: float = 0.0) -> Array:
    """Returns parameters `[n, 8]` of n pictures, uniform in [-1, 1], in the order of `NAMES`.

    A picture stays as it is with probability `still`: its parameters are zeros.
    """
    key, still_key = jax.random.split(key)
    parameters = jax.random.uniform(key, (n, len(NAMES)), minval=-1.0, maxval=1.0)
    return jnp.where(jax.random.bernoulli(still_key, still, (n, 1)), 0.0, parameters)


def mirrored(key: PRNGKey, x: Array, factors: Array, odd: Array) -> tuple[Array, Array]:
    """Returns pictures of which half are mirrored, and their factors, followed by 1 if mirrored and by 0 if not.

    Args:
      key: randomness of the draw.
      x: pictures `[n, height, width, channels]`.
      factors: `[n, f]`.
      odd: whether a factor changes its sign in the mirror, bool `[f]`.

    Returns:
      Pictures as x, and factors `[n, f + 1]`.
    """
    flip = jax.random.bernoulli(key, shape=(len(x), 1))
    factors = jnp.where(flip & odd[None], -factors, factors)
    x = jnp.where(flip[..., None, None], x[:, :, ::-1], x)
    return x, jnp.concatenate([factors, flip.astype(factors.dtype)], axis=1)


def transformed(x: Array, parameters: Array, most: Transformations = Transformations()) -> Array:  # noqa: B008 - frozen
    """Returns pictures, each changed by its own parameters: first its shape, then its colours.

    Args:
      x: premultiplied colour and alpha, `[n, height, width, 4]` in [0, 1].
      parameters: `[n, 8]`, in the order of `NAMES`. Zeros leave a picture as it is.
      most: the changes at parameters of 1.

    Returns:
      `[n, height, width, 4]`. What comes from outside the picture is transparent. Pixels between pixels are bilinear.
      No colour exceeds its alpha.
    """
    return _coloured(_moved(x, parameters, most), parameters, most)


def placement(parameters: Array, most: Transformations) -> tuple[Array, Array]:
    """Returns matrices `[n, 2, 2]` and shifts `[n, 2]`, in shares of the height and of the width.

    A changed picture has at a place p what the picture has at the matrix times (p - shift). Places are pixels from the
    centre, downwards and to the right. The arguments are as in `transformed`.
    """
    angle, right, down, zoom, stretch = parameters[:, :5].T
    angle = jnp.deg2rad(most.rotate) * angle
    width = jnp.exp(jnp.log1p(most.zoom) * zoom + jnp.log1p(most.stretch) * stretch)
    height = jnp.exp(jnp.log1p(most.zoom) * zoom - jnp.log1p(most.stretch) * stretch)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    matrix = jnp.stack([jnp.stack([cos, sin], 1) / height[:, None], jnp.stack([-sin, cos], 1) / width[:, None]], 1)
    return matrix, most.move * jnp.stack([down, right], axis=1)


def _moved(x: Array, parameters: Array, most: Transformations) -> Array:
    matrix, shift = placement(parameters, most)
    size = np.array([x.shape[1:3]])
    centre = ((size - 1) / 2)[:, None, None]
    places = jnp.stack(jnp.meshgrid(*map(jnp.arange, x.shape[1:3]), indexing="ij"), axis=-1)[None] - centre
    places = places - (shift * size)[:, None, None]
    row, column = jnp.moveaxis(jnp.einsum("nij,nhwj->nhwi", matrix, places) + centre, -1, 0)
    return _read(x, row, column)


def _read(x: Array, row: Array, column: Array) -> Array:
    """Returns x at rows and columns `[n, h, w]` that may lie between pixels; outside of x is 0."""
    n, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))).reshape(n, -1, channels)
    row, column = jnp.clip(row + 1, 0, height + 1), jnp.clip(column + 1, 0, width + 1)
    top, left = (jnp.floor(a).astype(jnp.int32) for a in (row, column))
    y = 0.0
    for i in (0, 1):
        for j in (0, 1):
            at = jnp.minimum(top + i, height + 1) * (width + 2) + jnp.minimum(left + j, width + 1)
            weight = (1 - jnp.abs(row - top - i)) * (1 - jnp.abs(column - left - j))
            pixels = jnp.take_along_axis(padded, at.reshape(n, -1, 1), axis=1)
            y += weight[..., None] * pixels.reshape(n, *row.shape[1:], channels)
    return y


def hues(x: Array, degrees: Array) -> Array:
    """Returns pictures of red, green and blue `[n, h, w, 3]` in [0, 1], each turned around the grey axis.

    The luminance stays, except where a colour leaves [0, 1] and is clipped. Grey stays grey.
    """
    return jnp.clip(jnp.einsum("nij,nhwj->nhwi", _turned(jnp.deg2rad(degrees)[:, None, None], 1.0), x), 0, 1)


def _coloured(x: Array, parameters: Array, most: Transformations) -> Array:
    hue, saturation, brightness = parameters[:, 5:, None, None].transpose(1, 0, 2, 3)
    factor = jnp.exp(jnp.log1p(most.saturation) * saturation)
    light = jnp.exp(jnp.log1p(most.brightness) * brightness)
    matrix = light * _turned(jnp.deg2rad(most.hue) * hue, factor)
    colour = jnp.einsum("nij,nhwj->nhwi", matrix, x[..., :3])
    return jnp.concatenate([jnp.clip(colour, 0, x[..., 3:]), x[..., 3:]], axis=-1)


def _turned(angle: Array, saturation: Array | float) -> Array:
    """Returns the matrices `[n, 3, 3]` that turn colours by angles in radians and keep their luminance."""
    grey = jnp.tile(jnp.array(LUMINANCE), (1, 3, 1))  # the projection on the grey axis that keeps the luminance
    across = jnp.array([[[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]]) / jnp.sqrt(3.0)  # turns by 90 degrees
    rotation = jnp.cos(angle) * (jnp.eye(3)[None] - 1 / 3) + jnp.sin(angle) * across + 1 / 3
    return grey + saturation * (rotation - grey @ rotation)
