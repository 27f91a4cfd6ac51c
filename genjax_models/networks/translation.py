"""The generator of images from an image and z, which is all that the image does not tell (1.1)."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.dcgan import smallest_level
from genjax_models.networks.mlp import Activation
from genjax_models.networks.outputs import Emits, Emitted, dense_output, emit, named
from genjax_models.networks.upsampling import Upsampled
from genjax_models.types import Array, Shape

_KERNEL, _STRIDES = (4, 4), (2, 2)


class TranslatingGenerator(nn.Module):
    """Latent z and an image -> images of its height and width, and other outputs.

    Convolutions halve the image; at each level on the way back, z joins as constant planes, and so does the image of
    the same size from the way down, as in a U-Net (Ronneberger, Fischer and Brox, 2015).

    Attributes:
      emits: the shape of an image, or names and shapes. Images come from the last convolution, other outputs from z.
      channels: channels per level, from the largest image to the smallest.
      activation: activation between layers.
    """

    emits: Emits
    channels: Sequence[int] = (32, 64, 64)
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, z: Array, condition: Array) -> Emitted:
        """Maps z `[..., latent]` and images `[..., height, width, c]` to `[..., *output]` per output.

        The images may lack leading axes of z (samples): they then serve all samples.

        Raises:
          ValueError: the levels cannot halve the images, or an output is an image of another size.
        """
        size = condition.shape[-3:-1]
        smallest_level(condition.shape[-3:], len(self.channels))
        for output in named(self.emits).values():
            if len(output.shape) == 3 and output.shape[:2] != size:
                raise ValueError(f"images of {output.shape[:2]} need a condition of this size, got {size}")
        down = [condition.reshape(-1, *condition.shape[-3:])]
        for level, channels in enumerate(self.channels):
            down.append(self.activation(Convolution(channels, _KERNEL, _STRIDES, name=f"down_{level}")(down[-1])))
        lead = z.shape[:-1]
        spread = lambda h: _for_all(h.reshape(*condition.shape[:-3], *h.shape[1:]), lead)
        h = self._with_z(spread(down[-1]), z)
        for level in range(len(self.channels) - 1, 0, -1):
            h = self.activation(Upsampled(self.channels[level - 1], 4, "transposed", name=f"up_{level}")(h))
            h = self._with_z(jnp.concatenate([spread(down[level]), h], axis=-1), z)
        h = self.activation(Upsampled(self.channels[0], 4, "transposed", name="up_0")(h))
        h = jnp.concatenate([spread(down[0]), h], axis=-1)

        def compute(name: str, shape: Shape) -> Array:
            if len(shape) != 3:
                return dense_output(z, name, shape)
            return Convolution(shape[2], (3, 3), name=name)(h).reshape(*lead, *shape)

        return emit(self, self.emits, compute)

    def _with_z(self, h: Array, z: Array) -> Array:
        """Returns images `[rows, h, w, c]` followed by z as constant planes."""
        z = z.reshape(math.prod(z.shape[:-1]), 1, 1, z.shape[-1])  # z may have no dimensions
        return jnp.concatenate([h, jnp.broadcast_to(z, (*h.shape[:3], z.shape[-1]))], axis=-1)


def _for_all(h: Array, lead: Shape) -> Array:
    """Returns images `[..., h, w, c]` for the leading axes of z, as rows."""
    return jnp.broadcast_to(h, (*lead, *h.shape[-3:])).reshape(-1, *h.shape[-3:])
