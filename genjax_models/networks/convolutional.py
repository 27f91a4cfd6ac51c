"""Convolutional encoders and generators for images of any size.

Each level halves or doubles height and width: 28 -> 14 -> 7, 64 -> 32 -> 16, 15 -> 8 -> 4. A generator starts from the
smallest level of its output image, and crops the odd row and column that doubling adds. Parameters have the names of
Flax's own convolutions, Conv_0 and ConvTranspose_0.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.mlp import MLP, Activation
from genjax_models.networks.outputs import Emits, Emitted, dense_output, emit, named
from genjax_models.networks.shapes import lead_of, with_condition, with_condition_on_images
from genjax_models.networks.upsampling import Upsampled, Upsampling
from genjax_models.types import Array, Shape

_KERNEL = (4, 4)
_STRIDES = (2, 2)


class ConvolutionalEncoder(nn.Module):
    """Images -> the outputs in `emits`, by strided convolutions followed by fully connected layers.

    Attributes:
      shape: `(height, width, channels)` of one image; other shapes are refused while tracing.
      emits: a shape, or names and shapes.
      channels: channels per level, from the largest image to the smallest.
      hidden: widths of the fully connected layers after the convolutions.
      activation: activation between layers.
    """

    shape: Shape
    emits: Emits
    channels: Sequence[int] = (32, 64)
    hidden: Sequence[int] = (256,)
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """Maps x `[..., height, width, channels]` to `[..., *output]` per output.

        A condition `[..., c]` is added to the image as c constant planes, and a condition `[..., height, width, c]` as
        c channels.
        """
        lead = lead_of(x, _image(self.shape))
        x = with_condition_on_images(x, condition)
        h = x.reshape(-1, *x.shape[-3:])
        for level, channels in enumerate(self.channels):
            h = self.activation(Convolution(channels, _KERNEL, _STRIDES, name=f"Conv_{level}")(h))
        features = MLP(self.hidden, self.activation)(h.reshape(*lead, math.prod(h.shape[1:])))
        return emit(self, self.emits, lambda name, shape: dense_output(features, name, shape))


class ConvolutionalGenerator(nn.Module):
    """Latent z -> images, and other outputs, by fully connected layers followed by layers that double it.

    Attributes:
      emits: the shape of an image, or names and shapes. Images come from the last convolution, and all have the same
        height and width; further axes belong to a channel. Other outputs (one scale per image, say) come from the fully
        connected layers.
      channels: channels per level, from the smallest image to the largest.
      hidden: widths of the fully connected layers before the convolutions.
      activation: activation between layers.
      upsampling: how a level doubles the image; see `networks.upsampling`.
      kernel: height and width of the kernels.
    """

    emits: Emits
    channels: Sequence[int] = (64, 32)
    hidden: Sequence[int] = (256,)
    activation: Activation = jax.nn.relu
    upsampling: Upsampling = "transposed"
    kernel: int = 4

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Emitted:
        """Maps z `[..., latent]` (and a condition `[..., c]`) to `[..., *output]` per output."""
        lead = z.shape[:-1]
        features = MLP(self.hidden, self.activation)(with_condition(z, condition))
        levels = self._levels()
        height, width = levels[0]
        h = self.activation(nn.Dense(height * width * self.channels[0])(features))
        h = h.reshape(-1, height, width, self.channels[0])
        for level, (channels, size) in enumerate(zip(self.channels[1:], levels[1:-1], strict=True)):
            h = self.activation(self._doubled(channels, *size, name=f"ConvTranspose_{level}")(h))

        def output(name: str, shape: Shape) -> Array:
            if len(shape) < 3:
                return dense_output(features, name, shape)
            return self._doubled(math.prod(shape[2:]), shape[0], shape[1], name)(h).reshape(*lead, *shape)

        return emit(self, self.emits, output)

    def _doubled(self, channels: int, height: int, width: int, name: str) -> Callable[[Array], Array]:
        """Returns a layer that doubles an image, and crops it to height and width."""
        layer = Upsampled(channels, self.kernel, self.upsampling, name=name)
        return lambda h: layer(h)[:, :height, :width]

    def _levels(self) -> list[tuple[int, int]]:
        """Returns height and width of each level, from the smallest level to the image."""
        if not self.channels:
            raise ValueError("a convolutional generator needs at least one level, got channels=()")
        sizes = {output.shape[:2] for output in named(self.emits).values() if len(output.shape) >= 3}
        if len(sizes) != 1:
            raise ValueError(f"a convolutional generator needs images of one height and width, got {self.emits}")
        levels = [sizes.pop()]
        for _ in self.channels:
            height, width = levels[0]
            levels.insert(0, (-(-height // 2), -(-width // 2)))
        return levels


def _image(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"convolutions need images of shape (height, width, channels), got {tuple(shape)}")
    return shape
