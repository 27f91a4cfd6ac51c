"""Layers that double an image: unpooling, transposed convolution and repeated pixels, each followed by a convolution.

All three are one transposed convolution of stride 2, which `networks.convolution` computes without multiplying zeros:

    unpooling, then convolution          padding (p, p + 1) around the pixels, for a convolution padded by p
    transposed convolution               padding of "SAME"
    repeated pixels, then convolution    the kernel summed over blocks of 2 x 2, which has one more row and column

An output reaches only the weights of its own parity. Kernels of odd width have more weights of one parity than of the
other: on a constant image they make a checkerboard (Odena, Dumoulin and Olah, 2016).
"""

from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.convolution import convolve_transposed
from genjax_models.types import Array

Upsampling = Literal["unpool", "transposed", "nearest"]
_STRIDES = (2, 2)


def unpool(x: Array, size: int = 2) -> Array:
    """Returns images `[..., size * h, size * w, c]` of zeros, with x `[..., h, w, c]` in the upper left of each block.

    This is the approximate inverse of max-pooling of 20.10.6: `max_pool(unpool(x))` is relu(x). Its adjoint picks the
    upper left pixel of each block.
    """
    unchanged, spread = (0, 0, 0), (0, size - 1, size - 1)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), (*[unchanged] * (x.ndim - 3), spread, spread, unchanged))


def upsampled(x: Array, kernel: Array, kind: Upsampling = "unpool") -> Array:
    """Returns images of double height and width, `[n, h, w, in]` -> `[n, 2 h, 2 w, out]`.

    Args:
      x: images.
      kernel: `[height, width, in, out]`.
      kind: "unpool" is `convolve(unpool(x), kernel)`; "transposed" is `convolve_transposed(x, kernel, strides=(2, 2))`;
        "nearest" repeats each pixel in both directions and convolves. All have padding "SAME".

    Raises:
      ValueError: an unknown kind, or arrays that `networks.convolution` refuses.
    """
    if kind not in get_args(Upsampling):
        raise ValueError(f"kind must be one of {get_args(Upsampling)}, got {kind!r}")
    if kind == "transposed":
        return convolve_transposed(x, kernel, strides=_STRIDES)
    before = [(width - 1) // 2 for width in kernel.shape[:2]]
    padding = [(first, width - first) for first, width in zip(before, kernel.shape[:2], strict=True)]
    if kind == "nearest":
        kernel = over_blocks(kernel)
        padding = [(first + 1, after) for first, after in padding]
    return convolve_transposed(x, kernel, strides=_STRIDES, padding=padding)


def over_blocks(kernel: Array) -> Array:
    """Returns the kernel `[h, w, in, out]` summed over blocks of 2 x 2 places, `[h + 1, w + 1, in, out]`."""
    return sum(
        jnp.pad(kernel, ((1 - row, row), (1 - column, column), (0, 0), (0, 0))) for row in (0, 1) for column in (0, 1)
    )


class Upsampled(nn.Module):
    """`upsampled` with a learned "kernel" of `kernel` x `kernel` weights, and a "bias"."""

    features: int
    kernel: int
    kind: Upsampling = "unpool"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, h, w, channels]` to `[batch, 2 h, 2 w, features]`."""
        shape = self.kernel, self.kernel, x.shape[-1], self.features
        y = upsampled(x, self.param("kernel", self.kernel_init, shape, jnp.float32), self.kind)
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)[None, None, None]
