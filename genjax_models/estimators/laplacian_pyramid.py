"""The Laplacian pyramid (Burt and Adelson, 1983): an image as what each halving of its size loses, and a small rest.

With d(x) the image of half the height and width, u(x) that of twice both, I_0 = x and I_{k+1} = d(I_k),

    h_k = I_k - u(I_{k+1}),                    the pyramid is (h_0, ..., h_{K-1}, I_K)
    I_k = u(I_{k+1}) + h_k                     its inverse, exact whatever d and u are

(Denton et al., 2015, Eq. 3 and 4). Here d is the mean of each block of 2 x 2 pixels and u repeats each pixel in such a
block, so that d(u(x)) = x, and u is four times the transpose of d. Then u(d(x)), the low-pass image l_k of the paper,
is the orthogonal projection on images that are constant in blocks, h_k is the projection on what is left, and d(h_k)
is zero: an image of any h_k upon its l_k has that l_k again.

Images are `[..., height, width, channels]`, pyramids are finest first, of as many levels as they have images.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from genjax_models.types import Array, Shape


def downsample(x: Array) -> Array:
    """d(x): means of the blocks of 2 x 2 pixels, `[..., height / 2, width / 2, channels]`.

    Raises:
      ValueError: height or width is odd, or x is no image.
    """
    check_levels(x.shape, 2)
    *lead, height, width, channels = x.shape
    return x.reshape(*lead, height // 2, 2, width // 2, 2, channels).mean((-4, -2))


def upsample(x: Array) -> Array:
    """u(x): each pixel becomes a block of 2 x 2, `[..., 2 height, 2 width, channels]`."""
    return jnp.repeat(jnp.repeat(x, 2, axis=-3), 2, axis=-2)


def low_pass(x: Array) -> Array:
    """u(d(x)), of the shape of x: every pixel is the mean of its block."""
    return upsample(downsample(x))


def high_pass(x: Array) -> Array:
    """x - u(d(x)), of the shape of x: what halving loses. Twice is as once."""
    return x - low_pass(x)


def gaussian_pyramid(x: Array, levels: int) -> tuple[Array, ...]:
    """(I_0, ..., I_K) with K = levels - 1: x and its halvings.

    Raises:
      ValueError: as `check_levels` does.
    """
    check_levels(x.shape, levels)
    images = [x]
    while len(images) < levels:
        images.append(downsample(images[-1]))
    return tuple(images)


def laplacian_pyramid(x: Array, levels: int) -> tuple[Array, ...]:
    """(h_0, ..., h_{K-1}, I_K) with K = levels - 1; one level is x itself.

    Raises:
      ValueError: as `check_levels` does.
    """
    *finer, coarsest = gaussian_pyramid(x, levels)
    return *map(high_pass, finer), coarsest


def reconstruct(pyramid: Sequence[Array]) -> Array:
    """The image whose Laplacian pyramid this is, to float rounding."""
    *finer, x = pyramid
    for h in reversed(finer):
        x = upsample(x) + h
    return x


def check_levels(shape: Shape, levels: int) -> None:
    """Refuses what has no pyramid of so many levels.

    Raises:
      ValueError: `levels` is no integer of at least 1, `shape` does not end in height, width and channels, or height or
        width cannot be halved levels - 1 times.
    """
    if isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
        raise ValueError(f"levels must be an integer of at least 1, got {levels!r}")
    if len(shape) < 3:
        raise ValueError(f"a pyramid is of images [..., height, width, channels], got shape {tuple(shape)}")
    multiple, size = 2 ** (levels - 1), tuple(shape[-3:-1])
    if any(side < 1 or side % multiple for side in size):
        raise ValueError(
            f"{levels} levels are of images whose height and width are multiples of {multiple}, got {size}"
        )
