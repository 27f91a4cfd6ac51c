"""The gated PixelCNN (van den Oord et al., 2016): pixels in raster order, each from all pixels before it.

A single stack of masked kernels has a blind spot: some pixels to the upper right of a pixel never reach it. Two stacks
have none. The vertical stack sees the rows above. The horizontal stack sees the vertical one, and the pixels to the
left in its own row. Kernels hold only the weights that a mask would keep; padding moves them to their place.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.outputs import Emits, Emitted, emit, named
from genjax_models.networks.shapes import lead_of
from genjax_models.types import Array, Shape


class GatedPixelCNN(nn.Module):
    """Images -> the parameters of p(x_d | x_<d) for each pixel, in one pass.

    The parameters of a pixel depend on the pixels before it, in all their channels, and on no channel of its own. A
    condition (z, say) is seen by all layers. With few layers, distant pixels are not seen.

    Attributes:
      shape: shape of one image, `(height, width, channels)`; other shapes are refused while tracing.
      emits: the outputs; those that depend on x start with `shape`: `bernoulli(shape).outputs`, say.
      features: features of each stack.
      layers: number of gated layers, at least 1.
      kernel_size: odd width of the kernels, at least 3.
      first_kernel_size: the same for the first layer, which sees no pixel itself.
    """

    shape: Shape
    emits: Emits
    features: int = 32
    layers: int = 5
    kernel_size: int = 3
    first_kernel_size: int = 7

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """Maps x `[..., *shape]` to `[..., *output]` per output.

        The condition is a vector `[..., c]`, or an image of the same height and width, `[..., height, width, c]`.

        Raises:
          ValueError: x has another shape, an output does not start with `shape`, or a number of the network is invalid.
        """
        self._check()
        lead = lead_of(x, self.shape)
        height, width, _ = self.shape
        vertical = horizontal = x.reshape(-1, *self.shape)
        given = None if condition is None else self._planes(condition, lead)
        for layer in range(self.layers):
            first = layer == 0
            size = self.first_kernel_size if first else self.kernel_size
            side, seen = size // 2, size // 2 + (not first)  # seen: rows up to this one, or columns
            up, left = ((side, 0), (side, side)), ((0, 0), (side, 0))
            v = Convolution(2 * self.features, (seen, size), padding=up)(vertical)[:, :height]
            h = Convolution(2 * self.features, (1, seen), padding=left)(horizontal)[:, :, :width]
            h = h + nn.Dense(2 * self.features)(v)
            if given is not None:
                bias = nn.Dense(2 * self.features, use_bias=False)(given)
                v, h = v + bias, h + bias
            vertical, gated = _gate(v), nn.Dense(self.features)(_gate(h))
            horizontal = gated if first else horizontal + gated
        last = jax.nn.relu(horizontal)

        def parameters(name: str, shape: Shape) -> Array:
            return nn.Dense(math.prod(shape[2:]), name=name)(last).reshape(*lead, *shape)

        return emit(self, self.emits, lead, parameters)

    def _planes(self, condition: Array, lead: Shape) -> Array:
        """Returns the condition as images, `[prod(lead), height or 1, width or 1, c]`."""
        is_image = condition.ndim > 2 and condition.shape[-3:-1] == tuple(self.shape[:2])
        planes = condition if is_image else condition[..., None, None, :]
        return jnp.broadcast_to(planes, (*lead, *planes.shape[-3:])).reshape(-1, *planes.shape[-3:])

    def _check(self) -> None:
        if len(self.shape) != 3:
            raise ValueError(f"`shape` must be (height, width, channels), got {tuple(self.shape)}")
        if self.layers < 1:
            raise ValueError(f"`layers` must be at least 1, got {self.layers}")
        for name in ("kernel_size", "first_kernel_size"):
            if (size := getattr(self, name)) < 3 or size % 2 == 0:
                raise ValueError(f"`{name}` must be odd and at least 3, got {size}")
        for name, output in named(self.emits).items():
            if output.of_input and tuple(output.shape[:3]) != tuple(self.shape):
                raise ValueError(f"`emits` must start with {tuple(self.shape)}, got {output.shape} for {name!r}")


def _gate(h: Array) -> Array:
    """Returns tanh of the first half of the features, times the sigmoid of the second."""
    first, second = jnp.split(h, 2, axis=-1)
    return jnp.tanh(first) * jax.nn.sigmoid(second)
