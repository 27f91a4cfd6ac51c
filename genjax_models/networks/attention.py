"""Attention of an image's pixels to each other (Zhang et al., 2019), as BigGAN has it (Brock et al., 2019)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.shapes import in_blocks
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Array


class SelfAttention(nn.Module):
    """x + gain out(softmax(query . key) value), with a learned gain that starts at 0: the block starts as the identity.

    Queries and keys have c / 8 channels, values c / 2. Keys and values are the largest of 2 x 2 pixels. All maps are
    1 x 1 convolutions without bias, spectrally normalised.

    Attributes:
      kernel_init: initialiser of all kernels.
    """

    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps x `[batch, h, w, c]` to the same shape.

        Raises:
          ValueError: c is below 8, or height or width is odd.
        """
        batch, height, width, channels = x.shape
        if channels < 8:
            raise ValueError(f"attention needs at least 8 channels, got {channels}")
        if height % 2 or width % 2:
            raise ValueError(f"attention needs images of even height and width, got {(height, width)}")

        def mapped(name: str, features: int, h: Array) -> Array:
            layer = Convolution(features, (1, 1), use_bias=False, kernel_init=self.kernel_init, name=name)
            return SpectralNormalisation(layer)(h)

        pooled = lambda h: jnp.max(in_blocks(h), axis=(2, 4))
        pixels = lambda h: h.reshape(batch, -1, h.shape[-1])
        query = pixels(mapped("query", channels // 8, x))
        key = pixels(pooled(mapped("key", channels // 8, x)))
        value = pixels(pooled(mapped("value", channels // 2, x)))
        weights = jax.nn.softmax(jnp.einsum("bqc,bkc->bqk", query, key), axis=-1)
        attended = jnp.einsum("bqk,bkc->bqc", weights, value).reshape(batch, height, width, -1)
        gain = self.param("gain", nn.initializers.zeros, (), jnp.float32)
        return x + gain * mapped("out", channels, attended)
