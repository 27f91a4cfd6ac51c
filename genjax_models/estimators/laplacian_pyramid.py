"""The Laplacian pyramid of an image: the detail that each halving loses, and a small rest (Burt and Adelson, 1983).

d(x) halves height and width of an image, and u(x) doubles both. With I_0 = x and I_{k+1} = d(I_k),

    h_k = I_k - u(I_{k+1}),                    the pyramid is (h_0, ..., h_{K-1}, I_K)
    I_k = u(I_{k+1}) + h_k                     its inverse, exact for any d and u

(Denton et al., 2015, Eq. 3 and 4). Here d takes the mean of each block of 2 x 2 pixels, and u repeats each pixel in
such a block. Hence d(u(x)) = x, and u is four times the transpose of d.

The low-pass image l_k of the paper is u(d(x)): the orthogonal projection of x on images that are constant in blocks.
The detail h_k is the projection on the orthogonal complement, and d(h_k) is zero. If any h_k is added to l_k, the sum
therefore has the low-pass image l_k.

Images are `[..., height, width, channels]`. A pyramid has one image per level, the finest first.

Here d adds the two parts of each pair, and u stacks each pixel twice, in one direction and then in the other. Then
neither they nor their derivatives sum over axes of two numbers, which XLA:CPU does 10 to 40 times as slowly.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from genjax_models.types import Array, Shape


def downsample(x: Array) -> Array:
    """Returns d(x), the means of blocks of 2 x 2 pixels, `[..., height / 2, width / 2, channels]`.

    Raises:
      ValueError: height or width is odd, or x is no image.
    """
    check_levels(x.shape, 2)
    *lead, height, width, channels = x.shape
    rows = x.reshape(*lead, height // 2, 2, width, channels)
    pixels = (rows[..., 0, :, :] + rows[..., 1, :, :]).reshape(*lead, height // 2, width // 2, 2, channels)
    return (pixels[..., 0, :] + pixels[..., 1, :]) / 4


def upsample(x: Array) -> Array:
    """Returns u(x), in which each pixel becomes a block of 2 x 2, `[..., 2 height, 2 width, channels]`."""
    *lead, height, width, channels = x.shape
    wide = jnp.stack([x, x], axis=-2).reshape(*lead, height, 2 * width, channels)
    return jnp.stack([wide, wide], axis=-3).reshape(*lead, 2 * height, 2 * width, channels)


def low_pass(x: Array) -> Array:
    """Returns u(d(x)), of the shape of x: each pixel becomes the mean of its block."""
    return upsample(downsample(x))


def high_pass(x: Array) -> Array:
    """Returns x - u(d(x)), of the shape of x: the detail that halving loses. Applying it twice changes nothing more."""
    return x - low_pass(x)


def gaussian_pyramid(x: Array, levels: int) -> tuple[Array, ...]:
    """Returns (I_0, ..., I_K) with K = levels - 1: x and its halvings.

    Raises:
      ValueError: as in `check_levels`.
    """
    check_levels(x.shape, levels)
    images = [x]
    while len(images) < levels:
        images.append(downsample(images[-1]))
    return tuple(images)


def laplacian_pyramid(x: Array, levels: int) -> tuple[Array, ...]:
    """Returns (h_0, ..., h_{K-1}, I_K) with K = levels - 1; a pyramid of one level is (x,).

    Raises:
      ValueError: as in `check_levels`.
    """
    *finer, coarsest = gaussian_pyramid(x, levels)
    return *map(high_pass, finer), coarsest


def reconstruct(pyramid: Sequence[Array]) -> Array:
    """Returns the image of a Laplacian pyramid, up to rounding."""
    *finer, x = pyramid
    for h in reversed(finer):
        x = upsample(x) + h
    return x


def check_levels(shape: Shape, levels: int) -> None:
    """Raises ValueError unless images of this shape have a pyramid of `levels` levels.

    Raises:
      ValueError: `levels` is no integer of at least 1, `shape` does not end in height, width and channels, or height or
        width cannot be halved levels - 1 times.
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
        raise ValueError(f"levels must be an integer of at least 1, got {levels!r}")
    if len(shape) < 3:
        raise ValueError(f"a pyramid needs images [..., height, width, channels], got shape {tuple(shape)}")
    multiple, size = 2 ** (levels - 1), tuple(shape[-3:-1])
    if any(side < 1 or side % multiple for side in size):
        raise ValueError(f"{levels} levels need images whose height and width are multiples of {multiple}, got {size}")
