"""The gated PixelCNN (van den Oord et al., 2016): pixels in raster order, each from all pixels before it.

A single stack of masked kernels has a blind spot: some pixels to the upper right of a pixel never reach it. Two stacks
have none. The vertical stack sees the rows above. The horizontal stack sees the vertical one, and the pixels to the
left in its own row. Kernels hold only the weights that a mask would keep; padding moves them to their place.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax_models.networks.convolution import Convolution, convolve
from genjax_models.networks.outputs import Emits, Emitted, emit, named
from genjax_models.networks.pointwise import pointwise
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
      dropout: dropout rate of the features that a layer adds, if a key "dropout" is given.
    """

    shape: Shape
    emits: Emits
    features: int = 32
    layers: int = 5
    kernel_size: int = 3
    first_kernel_size: int = 7
    dropout: float = 0.0

    def setup(self) -> None:
        """Makes the layers."""
        self._check()
        sizes = [self.first_kernel_size, *[self.kernel_size] * (self.layers - 1)]
        self.gated = [GatedLayer(self.features, size, i == 0, self.dropout) for i, size in enumerate(sizes)]
        self.last = _Outputs(self.emits)

    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """Maps x `[..., *shape]` to `[..., *output]` per output.

        The condition is a vector `[..., c]`, or an image of the same height and width, `[..., height, width, c]`.

        Raises:
          ValueError: x has another shape, an output does not start with `shape`, or a number of the network is invalid.
        """
        lead = lead_of(x, self.shape)
        vertical = horizontal = x.reshape(-1, *self.shape)
        for layer, bias in zip(self.gated, self.biases(condition, lead), strict=True):
            end = -1 if layer.first else None  # the first layer sees no row or pixel itself
            above = jnp.pad(vertical, ((0, 0), (layer.reach, 0), (0, 0), (0, 0)))[:, :end]
            left = jnp.pad(horizontal, ((0, 0), (0, 0), (layer.reach, 0), (0, 0)))[:, :, :end]
            vertical, across = layer.rows(above, bias)
            added = layer.pixels(left, across)
            horizontal = added if layer.first else horizontal + added
        return self.last(horizontal, lead)

    def biases(self, condition: Array | None, lead: Shape) -> list[Any]:
        """Returns what each layer adds for a condition, `[prod(lead), height or 1, width or 1, 2 features]`, or None.

        The condition has the batch axes `lead`, or axes that broadcast to them.
        """
        if condition is None:
            return [None] * self.layers
        is_image = condition.ndim > 2 and condition.shape[-3:-1] == tuple(self.shape[:2])
        planes = condition if is_image else condition[..., None, None, :]
        planes = jnp.broadcast_to(planes, (*lead, *planes.shape[-3:])).reshape(-1, *planes.shape[-3:])
        return [layer.given(planes) for layer in self.gated]

    def row(self, above: list[Array], biases: list[Any]) -> tuple[list[Array], list[Array]]:
        """Computes one row of the vertical stack.

        Args:
          above: rows above this one that each layer reads, `[n, reach, width, ...]`; of the first layer, rows of x.
          biases: of this row, `[n, 1, width or 1, 2 features]` per layer, or None.

        Returns:
          The same rows for the next row (rows of x unchanged), and the addend of each layer of the horizontal stack.
        """
        kept, acrosses = [], []
        vertical: Any = None  # of the layer below
        for layer, rows, bias in zip(self.gated, above, biases, strict=True):
            window = rows if layer.first else jnp.concatenate([rows, vertical], axis=1)
            kept.append(rows if layer.first else window[:, 1:])
            vertical, across = layer.rows(window, bias)
            acrosses.append(across)
        return kept, acrosses

    def pixel(self, left: list[Array], acrosses: list[Array]) -> tuple[list[Array], Emitted]:
        """Computes one pixel of the horizontal stack.

        Args:
          left: pixels to its left that each layer reads, `[n, 1, reach, ...]`; of the first layer, pixels of x.
          acrosses: what `row` returned, at this pixel, `[n, 1, 1, 2 features]` per layer.

        Returns:
          The same pixels for the next pixel (pixels of x unchanged), and the outputs: for this pixel,
          `[n, 1, 1, ...]`, if they depend on x; whole constants.
        """
        kept: list[Array] = []
        horizontal: Any = None  # of the layer below
        for layer, pixels, across in zip(self.gated, left, acrosses, strict=True):
            window = pixels if layer.first else jnp.concatenate([pixels, horizontal], axis=2)
            kept.append(pixels if layer.first else window[:, :, 1:])
            added = layer.pixels(window, across)
            horizontal = added if layer.first else horizontal + added
        return kept, self.last(horizontal, horizontal.shape[:1])

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


class GatedLayer(nn.Module):
    """One gated layer of both stacks, on windows that hold what the kernels read and no padding above or to the left.

    Attributes:
      features: features of each stack.
      size: odd width of the kernels.
      first: whether the layer reads x, of which it sees no row or pixel itself.
      dropout: dropout rate of the features that the layer adds, if a key "dropout" is given.
    """

    features: int
    size: int
    first: bool
    dropout: float = 0.0

    def setup(self) -> None:
        """Makes the kernels."""
        self.vertical = _Weights(2 * self.features)
        self.horizontal = Convolution(2 * self.features, (1, self.seen), padding="VALID")
        self.across = _Weights(2 * self.features)
        self.condition = nn.Dense(2 * self.features, use_bias=False, dot_general=pointwise)
        self.mixed = nn.Dense(self.features, dot_general=pointwise)
        self.dropped = nn.Dropout(self.dropout)

    @property
    def reach(self) -> int:
        """Number of rows above, or pixels to the left, that the layer reads."""
        return self.size // 2

    @property
    def seen(self) -> int:
        """Number of rows, or pixels, that a kernel covers."""
        return self.reach + (not self.first)

    def given(self, planes: Array) -> Array:
        """Returns what the layer adds for a condition `[n, height or 1, width or 1, c]`."""
        return self.condition(planes)

    def rows(self, window: Array, bias: Array | None) -> tuple[Array, Array]:
        """Returns vertical features `[n, rows, width, features]`, and what the horizontal stack adds for them."""
        kernel, of_v = self.vertical(self.seen, self.size, window.shape[-1])
        product, of_h = self.across(2 * self.features)
        padding = (0, 0), (self.reach, self.reach)
        if kernel.size <= product.size:  # of few channels: one convolution for both is no dearer
            both = jnp.concatenate([kernel, kernel @ product], axis=-1)
            v, h = jnp.split(convolve(window, both, padding=padding), 2, axis=-1)
        else:
            v = convolve(window, kernel, padding=padding)
            h = pointwise(v, product)
        of_v, of_h = of_v[None, None, None], (of_v @ product + of_h)[None, None, None]
        if bias is not None:
            of_v, of_h = of_v + bias, of_h + bias
        return _gate(v + of_v), h + of_h

    def pixels(self, window: Array, across: Array) -> Array:
        """Returns what the layer adds to the horizontal features, `[n, rows, columns, features]`."""
        added = self.mixed(_gate(self.horizontal(window) + across))
        return self.dropped(added, deterministic=not self.has_rng("dropout"))


class _Weights(nn.Module):
    """A kernel and a bias. It has the parameters of a linear layer or a convolution."""

    features: int

    @nn.compact
    def __call__(self, *inputs: int) -> tuple[Array, Array]:
        """Returns the kernel `[*inputs, features]` and the bias `[features]`."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (*inputs, self.features), jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)


class _Outputs(nn.Module):
    """Horizontal features -> the outputs in `emits`, by a linear layer of each pixel."""

    emits: Emits

    @nn.compact
    def __call__(self, features: Array, lead: Shape) -> Emitted:
        h = jax.nn.relu(features)

        def parameters(name: str, shape: Shape) -> Array:
            return nn.Dense(math.prod(shape[2:]), name=name)(h).reshape(*lead, *h.shape[1:3], *shape[2:])

        return emit(self, self.emits, parameters)


@jax.custom_vjp
def _gate(h: Array) -> Array:
    """Returns tanh of the first half of the features, times the sigmoid of the second: (1 + tanh(h / 2)) / 2.

    So all features take one tanh, which XLA:CPU computes three times as fast as a tanh and a sigmoid. The gradient is
    one concatenation: XLA:CPU adds two padded halves, which takes three times as long after a convolution.
    """
    return _gate_forward(h)[0]


def _gate_forward(h: Array) -> tuple[Array, Array]:
    features = h.shape[-1] // 2
    scale = jnp.where(jnp.arange(2 * features) < features, 1.0, 0.5).astype(h.dtype)
    both = jnp.tanh(h * scale.reshape((1,) * (h.ndim - 1) + (-1,)))
    first, second = jnp.split(both, 2, axis=-1)
    return first * (0.5 + 0.5 * second), both


def _gate_backward(both: Array, cotangent: Array) -> tuple[Array]:
    first, second = jnp.split(both, 2, axis=-1)
    halves = [cotangent * (0.5 + 0.5 * second) * (1 - first**2), 0.25 * cotangent * first * (1 - second**2)]
    return (jnp.concatenate(halves, axis=-1),)


_gate.defvjp(_gate_forward, _gate_backward)
