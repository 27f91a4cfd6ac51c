"""Generator and discriminator of the deep convolutional GAN (Radford, Metz and Chintala, 2016).

Strided convolutions and no pooling, batch normalisation in both networks, though neither on the generator's output nor
on the discriminator's input, and no bias before it; ReLU in the generator and LeakyReLU of slope 0.2 in the
discriminator; weights from N(0, 0.02^2). The generator ends in tanh: data are in [-1, 1]. Kernels are 4 x 4, where the
paper has 5 x 5: a multiple of the stride reaches every pixel equally often (Odena, Dumoulin and Olah, 2016).

Batch normalisation is by the statistics of the batch where the collection "batch_stats" is mutable, and by running
averages elsewhere.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution, TransposedConvolution
from genjax_models.networks.shapes import as_rows, lead_of, with_condition
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Array, Shape

Normalisation = Literal["batch", "spectral"]

_KERNEL = (4, 4)
_STRIDES = (2, 2)
_WEIGHTS = nn.initializers.normal(0.02)
_leaky_relu = partial(jax.nn.leaky_relu, negative_slope=0.2)


class DCGANGenerator(nn.Module):
    """Latent z -> images in [-1, 1], by a linear map to the smallest level and transposed convolutions that double it.

    Attributes:
      shape: `(height, width, channels)` of one image. With n levels, height and width are multiples of 2^n: two levels
        make 28 x 28 from 7 x 7, three 32 x 32 and four 64 x 64 from 4 x 4.
      channels: of each level, from the smallest image to the largest; the image itself is none of them.
    """

    shape: Shape
    channels: Sequence[int] = (128, 64)

    range = (-1, 1)  # of tanh

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Array:
        """z `[..., latent]` (and a condition `[..., c]`) -> `[..., *shape]`.

        Raises:
          ValueError: a shape that the levels cannot make.
        """
        height, width = smallest_level(self.shape, len(self.channels))
        z = with_condition(z, condition)
        h = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=_WEIGHTS)(as_rows(z))
        h = jax.nn.relu(_batch_norm(self)(h.reshape(-1, height, width, self.channels[0])))
        doubled = partial(TransposedConvolution, kernel_size=_KERNEL, strides=_STRIDES, kernel_init=_WEIGHTS)
        for channels in self.channels[1:]:
            h = jax.nn.relu(_batch_norm(self)(doubled(channels, use_bias=False)(h)))
        return jnp.tanh(doubled(self.shape[2], name="image")(h)).reshape(*z.shape[:-1], *self.shape)


class DCGANDiscriminator(nn.Module):
    """Images -> logits, by convolutions that halve them and one linear map.

    Attributes:
      shape: `(height, width, channels)` of one image, as in `DCGANGenerator`; another is refused while tracing.
      channels: of each level, from the largest image to the smallest.
      normalisation: "batch"; or "spectral", where every weight is divided by its largest singular value (Miyato et al.,
        2018), so that one example's logit is its own and a gradient penalty may be taken; or None. Spectral
        normalisation keeps its singular vectors in "batch_stats", and brings them a power iteration nearer whenever the
        collection is mutable.
      dropout: share of units that are left out behind each level, wherever a key "dropout" is given, each time anew:
        while the discriminator learns, and while the generator learns from it. Without that key none are.
    """

    shape: Shape
    channels: Sequence[int] = (64, 128)
    normalisation: Normalisation | None = "batch"
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """x `[..., *shape]` -> logits `[...]`; a condition `[..., c]` joins the image as c constant planes.

        Raises:
          ValueError: a shape that the levels cannot halve, or an unknown normalisation.
        """
        if self.normalisation not in (accepted := (*get_args(Normalisation), None)):
            raise ValueError(f"normalisation must be one of {accepted}, got {self.normalisation!r}")
        smallest_level(self.shape, len(self.channels))
        lead = lead_of(x, self.shape)
        x = with_condition(x, None if condition is None else condition[..., None, None, :])
        h = x.reshape(-1, *x.shape[-3:])
        for level, channels in enumerate(self.channels):
            normalised = self.normalisation == "batch" and level > 0
            halved = Convolution(channels, _KERNEL, _STRIDES, use_bias=not normalised, kernel_init=_WEIGHTS)
            h = self._weighed(halved)(h)
            h = _leaky_relu(_batch_norm(self)(h) if normalised else h)
            h = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(h)
        logit = self._weighed(nn.Dense(1, kernel_init=_WEIGHTS, name="logit"))
        return logit(h.reshape(len(h), -1)).reshape(lead)

    def _weighed(self, layer: nn.Module) -> nn.Module:
        """The layer, with its weights normalised where that is asked for."""
        return SpectralNormalisation(layer) if self.normalisation == "spectral" else layer


def smallest_level(shape: Shape, levels: int) -> tuple[int, int]:
    """Height and width that are doubled `levels` times on the way to an image.

    Raises:
      ValueError: there are none, or the shape is no image's.
    """
    if len(shape) != 3:
        raise ValueError(f"convolutions are of images of shape (height, width, channels), got {tuple(shape)}")
    multiple = 2**levels
    if not levels:
        raise ValueError("an image is made by at least one level, got channels=()")
    if any(size < 1 or size % multiple for size in shape[:2]):
        raise ValueError(
            f"{levels} levels make images whose height and width are multiples of {multiple}, got {tuple(shape[:2])}"
        )
    return shape[0] // multiple, shape[1] // multiple


def _batch_norm(module: nn.Module) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not module.is_mutable_collection("batch_stats"),
        momentum=0.9,
        scale_init=lambda key, shape, dtype: 1 + _WEIGHTS(key, shape, dtype),
    )
