"""Generator and discriminator of the deep convolutional GAN, DCGAN (Radford, Metz and Chintala, 2016).

Convolutions are strided, without pooling. Both networks use batch normalisation, except on the generator's output and
the discriminator's input. Layers before batch normalisation have no bias. The generator uses ReLU, the discriminator
LeakyReLU of slope 0.2. Weights start from N(0, 0.02^2). The generator ends in tanh: data are in [-1, 1]. Kernels are
4 x 4 (the paper: 5 x 5): a multiple of the stride reaches every pixel equally often (Odena, Dumoulin and Olah, 2016).
The generator also takes other kernels, and doubles its images in other ways.

Batch normalisation uses the statistics of the batch if the collection "batch_stats" is mutable, else running averages.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.projection import Head, Projection
from genjax_models.networks.shapes import as_rows, lead_of, with_condition, with_condition_on_images
from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.networks.upsampling import Upsampled, Upsampling
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
        make 28 x 28 from 7 x 7, three levels 32 x 32 and four levels 64 x 64 from 4 x 4.
      channels: channels per level, from the smallest image to the largest, without the output image.
      upsampling: how a level doubles the image; see `networks.upsampling`.
      kernel: height and width of the kernels.
    """

    shape: Shape
    channels: Sequence[int] = (128, 64)
    upsampling: Upsampling = "transposed"
    kernel: int = 4

    range = (-1, 1)  # the range of tanh

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Array:
        """Maps z `[..., latent]` (and a condition `[..., c]`) to images `[..., *shape]`.

        Raises:
          ValueError: the levels cannot make an image of this shape.
        """
        height, width = smallest_level(self.shape, len(self.channels))
        z = with_condition(z, condition)
        h = nn.Dense(height * width * self.channels[0], use_bias=False, kernel_init=_WEIGHTS)(as_rows(z))
        h = jax.nn.relu(_batch_norm(self)(h.reshape(-1, height, width, self.channels[0])))
        doubled = partial(Upsampled, kernel=self.kernel, kind=self.upsampling, kernel_init=_WEIGHTS)
        for level, channels in enumerate(self.channels[1:]):
            h = doubled(channels, use_bias=False, name=f"TransposedConvolution_{level}")(h)
            h = jax.nn.relu(_batch_norm(self)(h))
        return jnp.tanh(doubled(self.shape[2], name="image")(h)).reshape(*z.shape[:-1], *self.shape)


class DCGANDiscriminator(nn.Module):
    """Images -> logits, by convolutions that halve the images and one linear map.

    Attributes:
      shape: `(height, width, channels)` of one image, as in `DCGANGenerator`; other shapes are refused while tracing.
      channels: channels per level, from the largest image to the smallest.
      normalisation: "batch", "spectral" or None. "spectral" divides every weight by its largest singular value (Miyato
        et al., 2018). The logit of an example then depends only on the example: gradient penalties are possible.
        Spectral normalisation keeps its singular vectors in "batch_stats"; each call with the collection mutable makes
        one power iteration.
      head: "concat" adds a condition to the image; "projection" adds embedding(condition) . features to the logit, for
        a condition `[..., c]` (Miyato and Koyama, 2018).
      dropout: dropout rate after each level, if a key "dropout" is given. The mask is new in each call, both while the
        discriminator learns and while the generator learns from it. Without the key there is no dropout.
    """

    shape: Shape
    channels: Sequence[int] = (64, 128)
    normalisation: Normalisation | None = "batch"
    dropout: float = 0.0
    head: Head = "concat"

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Returns the logits `[...]` of x `[..., *shape]`.

        With head "concat", a condition `[..., c]` is added to the image as c constant planes, and a condition
        `[..., height, width, c]` as c channels.

        Raises:
          ValueError: the levels cannot halve an image of this shape, or the normalisation or the head is unknown.
        """
        if self.normalisation not in (accepted := (*get_args(Normalisation), None)):
            raise ValueError(f"normalisation must be one of {accepted}, got {self.normalisation!r}")
        if self.head not in get_args(Head):
            raise ValueError(f"head must be one of {get_args(Head)}, got {self.head!r}")
        smallest_level(self.shape, len(self.channels))
        lead = lead_of(x, self.shape)
        x = with_condition_on_images(x, condition if self.head == "concat" else None)
        h = x.reshape(-1, *x.shape[-3:])
        for level, channels in enumerate(self.channels):
            normalised = self.normalisation == "batch" and level > 0
            halved = Convolution(channels, _KERNEL, _STRIDES, use_bias=not normalised, kernel_init=_WEIGHTS)
            h = self._with_normalised_weights(halved)(h)
            h = _leaky_relu(_batch_norm(self)(h) if normalised else h)
            h = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(h)
        logit = self._with_normalised_weights(nn.Dense(1, kernel_init=_WEIGHTS, name="logit"))
        features = h.reshape(h.shape[0], -1)
        logits = logit(features)[:, 0]
        if condition is not None and self.head == "projection":
            logits += Projection(self.normalisation == "spectral", _WEIGHTS)(features, as_rows(condition))
        return logits.reshape(lead)

    def _with_normalised_weights(self, layer: nn.Module) -> nn.Module:
        """Returns the layer, with spectral normalisation if the discriminator uses it."""
        return SpectralNormalisation(layer) if self.normalisation == "spectral" else layer


def smallest_level(shape: Shape, levels: int) -> tuple[int, int]:
    """Returns height and width of the smallest level: `levels` doublings make the image.

    Raises:
      ValueError: no such height and width exist, there are no levels, or `shape` is not the shape of an image.
    """
    if len(shape) != 3:
        raise ValueError(f"convolutions need images of shape (height, width, channels), got {tuple(shape)}")
    multiple = 2**levels
    if not levels:
        raise ValueError("an image needs at least one level, got channels=()")
    if any(size < 1 or size % multiple for size in shape[:2]):
        raise ValueError(
            f"{levels} levels need images whose height and width are multiples of {multiple}, got {tuple(shape[:2])}"
        )
    return shape[0] // multiple, shape[1] // multiple


def _batch_norm(module: nn.Module) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not module.is_mutable_collection("batch_stats"),
        momentum=0.9,
        scale_init=lambda key, shape, dtype: 1 + _WEIGHTS(key, shape, dtype),
    )
