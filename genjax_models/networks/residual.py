"""Residual blocks that double or halve an image, with spectral normalisation (Brock et al., 2019, Figure 15).

Doubling repeats each pixel, halving takes means of 2 x 2 pixels. Convolutions next to them are computed together with
them, as one strided convolution: a 3 x 3 convolution and its means of 2 x 2 are one of 4 x 4 with stride 2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.convolution import Convolution, convolve
from genjax_models.networks.normalisation import ConditionalBatchNorm
from genjax_models.networks.shapes import in_blocks
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.networks.upsampling import Upsampled, over_blocks
from genjax_models.types import Array

_KERNEL = (3, 3)


class UpBlock(nn.Module):
    """Normalise, ReLU, double, convolve, normalise, ReLU, convolve; the shortcut doubles and convolves 1 x 1.

    Attributes:
      features: channels of the outputs.
      kernel_init: initialiser of all kernels.
    """

    features: int
    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: Array, y: Array) -> Array:
        """Maps x `[batch, h, w, channels]` to `[batch, 2 h, 2 w, features]`; y `[batch, c]` sets gains and biases."""
        init = self.kernel_init
        h = jax.nn.relu(ConditionalBatchNorm(init)(x, y))
        h = SpectralNormalisation(Upsampled(self.features, 3, "nearest", use_bias=False, kernel_init=init))(h)
        h = jax.nn.relu(ConditionalBatchNorm(init)(h, y))
        h = SpectralNormalisation(Convolution(self.features, _KERNEL, kernel_init=init))(h)
        shortcut = SpectralNormalisation(Convolution(self.features, (1, 1), use_bias=False, kernel_init=init))(x)
        return h + jnp.repeat(jnp.repeat(shortcut, 2, axis=1), 2, axis=2)


class DownBlock(nn.Module):
    """ReLU, convolve, ReLU, convolve, halve; the shortcut convolves 1 x 1 and halves.

    Attributes:
      features: channels of the outputs.
      down: whether the image is halved.
      first: whether x is the data: then the first ReLU is left out.
      kernel_init: initialiser of all kernels.
    """

    features: int
    down: bool = True
    first: bool = False
    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, h, w, channels]` to `[batch, h / 2, w / 2, features]`, or to the same height and width.

        Raises:
          ValueError: the image is to be halved, and its height or width is odd.
        """
        if self.down and (x.shape[1] % 2 or x.shape[2] % 2):
            raise ValueError(f"a block that halves needs images of even height and width, got {x.shape[1:3]}")
        h = x if self.first else jax.nn.relu(x)
        h = jax.nn.relu(SpectralNormalisation(Convolution(self.features, _KERNEL, kernel_init=self.kernel_init))(h))
        last = ConvolutionOfMeans(self.features, kernel_init=self.kernel_init) if self.down else None
        h = SpectralNormalisation(last or Convolution(self.features, _KERNEL, kernel_init=self.kernel_init))(h)
        shortcut = jnp.mean(in_blocks(x), axis=(2, 4)) if self.down else x
        return h + SpectralNormalisation(
            Convolution(self.features, (1, 1), use_bias=False, kernel_init=self.kernel_init)
        )(shortcut)


class ConvolutionOfMeans(nn.Module):
    """A 3 x 3 convolution, then means over blocks of 2 x 2 pixels."""

    features: int
    kernel_init: Initializer = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, 2 h, 2 w, channels]` to `[batch, h, w, features]`."""
        kernel = self.param("kernel", self.kernel_init, (*_KERNEL, x.shape[-1], self.features), jnp.float32)
        y = convolve(x, over_blocks(kernel) / 4, strides=(2, 2), padding=((1, 1), (1, 1)))
        return y + self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)[None, None, None]
