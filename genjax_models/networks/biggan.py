"""Generator and discriminator of BigGAN (Brock et al., 2019): residual blocks, classes by normalisation and projection.

Every kernel has spectral normalisation. Kernels start from N(0, 0.02^2), or orthogonal (`networks.initialisers`). The
generator ends in tanh: data are in [-1, 1].
"""

from collections.abc import Sequence
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.attention import SelfAttention
from genjax_models.networks.convolution import Convolution
from genjax_models.networks.dcgan import smallest_level
from genjax_models.networks.projection import Head, Projection
from genjax_models.networks.residual import DownBlock, UpBlock
from genjax_models.networks.shapes import as_rows, lead_of, with_condition_on_images
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Array, Shape

Pooling = Literal["sum", "mean"]
_WEIGHTS = nn.initializers.normal(0.02)


class BigGANGenerator(nn.Module):
    """Latent z and class -> images in [-1, 1], by blocks that double the smallest level.

    z is cut into one chunk per block and one for the first layer. Each block's normalisations see its chunk and the
    shared embedding of the class.

    Attributes:
      shape: `(height, width, channels)` of one image. With n blocks, height and width are multiples of 2^n.
      channels: channels per block, from the smallest image to the largest.
      classes: number of classes; None without a condition.
      shared: dimensions of the embedding that all blocks share.
      attention: height of the images that attend to themselves, after the block that makes them; None for none.
      chunk: latents per level: z has chunk (n + 1). None gives all of z to the first layer and none to the blocks.
      kernel_init: initialiser of all kernels.
    """

    shape: Shape
    channels: Sequence[int] = (64, 32)
    classes: int | None = None
    shared: int = 128
    attention: int | None = None
    chunk: int | None = 20
    kernel_init: Initializer = _WEIGHTS

    range = (-1, 1)  # the range of tanh

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Array:
        """Maps z `[..., latent]` and weights of the classes `[..., classes]` to images `[..., *shape]`.

        Raises:
          ValueError: the blocks cannot make an image of this shape; attention is at another height than theirs; z or
            the condition have another size.
        """
        levels, init = len(self.channels), self.kernel_init
        height, width = check_heights(self.shape, levels, self.attention)
        got = None if condition is None else condition.shape[-1]
        if got != self.classes:
            raise ValueError(f"the generator needs weights of {self.classes} classes, got {got}")
        if self.chunk is not None and z.shape[-1] != self.chunk * (levels + 1):
            raise ValueError(
                f"z must have chunk x (blocks + 1) = {self.chunk} x {levels + 1} dimensions, got {z.shape[-1]}"
            )
        lead, z = z.shape[:-1], as_rows(z)
        chunks = [z] + [z[:, :0]] * levels if self.chunk is None else jnp.split(z, levels + 1, axis=-1)
        embedding = z[:, :0]
        if condition is not None:
            # No spectral normalisation: the maps that read the embedding have their own.
            condition = as_rows(jnp.broadcast_to(condition, (*lead, got)))
            embedding = nn.Dense(self.shared, use_bias=False, kernel_init=init, name="embedding")(condition)
        first = nn.Dense(height * width * self.channels[0], kernel_init=init, name="first")
        h = SpectralNormalisation(first)(chunks[0]).reshape(-1, height, width, self.channels[0])
        for channels, chunk in zip(self.channels, chunks[1:], strict=True):
            h = UpBlock(channels, init)(h, jnp.concatenate([embedding, chunk], axis=-1))
            if h.shape[1] == self.attention:
                h = SelfAttention(init)(h)
        h = jax.nn.relu(nn.BatchNorm(not self.is_mutable_collection("batch_stats"), momentum=0.9, dtype=h.dtype)(h))
        image = Convolution(self.shape[2], (3, 3), kernel_init=init, name="image")
        return jnp.tanh(SpectralNormalisation(image)(h)).reshape(*lead, *self.shape)


class BigGANDiscriminator(nn.Module):
    """Images and classes -> logits, by residual blocks, a ReLU, a sum over pixels and one linear map.

    Attributes:
      shape: `(height, width, channels)` of one image; other shapes are refused while tracing.
      channels: channels per block, from the data on.
      down: which blocks halve the image; None for all.
      attention: height of the images that attend to themselves, after the first block that makes them; None for none.
      head: "projection" adds embedding(class) . features to the logit; "concat" adds constant planes to the image.
      pooling: "sum" over pixels as in the paper, or "mean", which makes logits of the first steps smaller.
      kernel_init: initialiser of all kernels.
    """

    shape: Shape
    channels: Sequence[int] = (32, 64)
    down: Sequence[bool] | None = None
    attention: int | None = None
    head: Head = "projection"
    pooling: Pooling = "sum"
    kernel_init: Initializer = _WEIGHTS

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Returns the logits `[...]` of x `[..., *shape]` and weights of the classes `[..., classes]`.

        Raises:
          ValueError: the blocks cannot halve an image of this shape; attention is at another height than theirs; `down`
            has another length than `channels`; or `head` or `pooling` is unknown.
        """
        for name, value, accepted in (
            ("head", self.head, get_args(Head)),
            ("pooling", self.pooling, get_args(Pooling)),
        ):
            if value not in accepted:
                raise ValueError(f"{name} must be one of {accepted}, got {value!r}")
        down = [True] * len(self.channels) if self.down is None else list(self.down)
        if len(down) != len(self.channels):
            raise ValueError(f"down must have one value per block, {len(self.channels)}, got {len(down)}")
        if any(down):
            smallest_level(self.shape, sum(down))
        _check_attention(self.attention, [self.shape[0] >> sum(down[: i + 1]) for i in range(len(down))])
        lead = lead_of(x, self.shape)
        x = with_condition_on_images(x, condition if self.head == "concat" else None)
        h, attention = x.reshape(-1, *x.shape[-3:]), self.attention
        for level, (channels, halves) in enumerate(zip(self.channels, down, strict=True)):
            h = DownBlock(channels, halves, level == 0, self.kernel_init)(h)
            if h.shape[1] == attention:
                h, attention = SelfAttention(self.kernel_init)(h), None
        features = getattr(jnp, self.pooling)(jax.nn.relu(h), axis=(1, 2))
        logit = SpectralNormalisation(nn.Dense(1, kernel_init=self.kernel_init, name="logit"))(features)[:, 0]
        if condition is not None and self.head == "projection":
            logit += Projection(kernel_init=self.kernel_init)(features, as_rows(condition))
        return logit.reshape(lead)


def check_heights(shape: Shape, levels: int, attention: int | None) -> tuple[int, int]:
    """Returns height and width of the smallest level of a generator of `levels` blocks.

    Raises:
      ValueError: the blocks cannot make an image of this shape, or attention is at another height than theirs or odd.
    """
    height, width = smallest_level(shape, levels)
    _check_attention(attention, [height * 2 ** (level + 1) for level in range(levels)])
    return height, width


def _check_attention(height: int | None, heights: Sequence[int]) -> None:
    """Raises ValueError if no block makes images of this height, or if it is odd."""
    if height is not None and height not in heights:
        raise ValueError(f"attention must be at the height of a block's images, one of {list(heights)}, got {height}")
    if height is not None and height % 2:
        raise ValueError(f"attention needs images of even height and width, got height {height}")
