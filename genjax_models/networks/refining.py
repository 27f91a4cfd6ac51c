"""Generator of one level of a Laplacian pyramid (Denton et al., 2015): images -> images of the same size."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.mlp import Activation
from genjax_models.networks.shapes import lead_of, with_condition
from genjax_models.types import Array, Shape


class RefiningGenerator(nn.Module):
    """A low-pass image and a plane of noise -> the detail to add to the image, by convolutions.

    Attributes:
      shape: `(height, width, channels)` of the image; the input has one channel more, the noise.
      channels: channels per hidden layer. All layers have the size of the image. The paper has two hidden layers.
      kernel: height and width of the kernels, odd.
      activation: activation after hidden layers. The last layer is linear, since detail has either sign. It has no
        bias, since halving loses no constant.
    """

    shape: Shape
    channels: Sequence[int] = (64, 64)
    kernel: int = 3
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Maps x `[..., height, width, channels + 1]` to `[..., height, width, channels]`.

        A condition `[..., c]` becomes one more plane: a learned linear map gives its pixels.
        """
        height, width, channels = self.shape
        lead, size = lead_of(x, (height, width, channels + 1)), (self.kernel, self.kernel)
        if condition is not None:
            plane = nn.Dense(height * width, use_bias=False, name="condition")(condition)
            x = with_condition(x, plane.reshape(*plane.shape[:-1], height, width, 1))
        h = x.reshape(-1, *x.shape[-3:])
        for features in self.channels:
            h = self.activation(Convolution(features, size)(h))
        return Convolution(channels, size, use_bias=False, name="image")(h).reshape(*lead, *self.shape)
