"""Generators of pictures from known factors: style and view (20.10.2; Dosovitskiy et al., 2015)."""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.dcgan import smallest_level
from genjax_models.networks.mlp import MLP
from genjax_models.networks.shapes import as_rows
from genjax_models.networks.upsampling import Upsampled, Upsampling
from genjax_models.types import Array, Shape

_leaky_relu = jax.nn.leaky_relu


class SupervisedGenerator(nn.Module):
    """Weights of styles, and factors -> pictures.

    Style and factors have two hidden layers each, the streams of Dosovitskiy et al. (2015). Two joint layers follow,
    then the smallest level and convolutions that double it.

    Attributes:
      shape: `(height, width, channels)` of one picture. With n levels, height and width are multiples of 2^n.
      styles: number of styles.
      factors: number of factors.
      hidden: width of each stream's layers.
      joint: width of the joint layers.
      channels: channels per level, from the smallest picture to the largest, without the output.
      kernel: height and width of the convolutions' kernels.
      upsampling: how a level doubles; see `networks.upsampling`.
    """

    shape: Shape
    styles: int
    factors: int
    hidden: int = 512
    joint: int = 1024
    channels: Sequence[int] = (256, 128, 64)
    kernel: int = 5
    upsampling: Upsampling = "unpool"

    @nn.compact
    def __call__(self, style: Array, factors: Array) -> Array:
        """Maps style `[..., styles]` and factors `[..., factors]` to pictures `[..., *shape]`.

        A style is a sum of styles by weights: one-hot for a style as it is, a convex sum for a mixture of styles.
        """
        height, width = smallest_level(self.shape, len(self.channels))
        lead = style.shape[:-1]
        stream = lambda x, name: MLP((self.hidden, self.hidden), _leaky_relu, name=name)(as_rows(x))
        both = jnp.concatenate([stream(style, "style"), stream(factors, "view")], axis=-1)
        h = MLP((self.joint, self.joint), _leaky_relu, name="joint")(both)
        h = _leaky_relu(nn.Dense(height * width * self.channels[0], name="smallest")(h))
        h = h.reshape(-1, height, width, self.channels[0])
        for level, channels in enumerate(self.channels[1:]):
            h = _leaky_relu(Upsampled(channels, self.kernel, self.upsampling, name=f"level_{level}")(h))
        return Upsampled(self.shape[2], self.kernel, self.upsampling, name="picture")(h).reshape(*lead, *self.shape)


class MeanOfGenerators(nn.Module):
    """The mean picture of several generators from style and factors, each of which learns by itself.

    The squared error of the mean is at most the mean of the squared errors.

    Attributes:
      generators: name -> network (style `[..., styles]`, factors `[..., factors]`) -> pictures `[..., *shape]`.
    """

    generators: Mapping[str, nn.Module]

    def __call__(self, style: Array, factors: Array) -> Array:
        """Returns the mean picture `[..., *shape]`; in learning mode each generator's, `[m, ..., *shape]`."""
        pictures = jnp.stack([generator(style, factors) for generator in self.generators.values()])
        return pictures if self.has_rng("dropout") else jnp.mean(pictures, axis=0)
