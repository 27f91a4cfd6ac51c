"""Networks whose output for a number sees only the numbers before it: p(x) = prod_d p(x_d | x_<d).

MADE (Germain, Gregor, Murray and Larochelle, 2015) gives each unit a degree, the last place in the order that it may
see. The input of place o has degree o, and the hidden units of a layer have degrees from 1 to D - 1, evenly spread. The
masks are:

    mask_kk' = 1 if m_k' >= m_k, into hidden units
    mask_kd  = 1 if order_d > m_k, into outputs

The inequality of the outputs is strict: no output sees its own input. With it, p(x) sums to 1 for every kernel.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.networks.mlp import dropped
from genjax_models.networks.outputs import Emits, Emitted, emit, named
from genjax_models.networks.pixel_cnn import GatedPixelCNN as GatedPixelCNN
from genjax_models.networks.shapes import as_rows, flattened
from genjax_models.types import Array, Shape


class MaskedDense(nn.Module):
    """A linear layer between units that have degrees: `[..., len(sources)]` -> `[..., len(targets)]`.

    A condition enters through a kernel without a mask: all units see it.

    Attributes:
      sources: degree of each input.
      targets: degree of each output, which sees the inputs of a degree up to its own.
      strict: whether an output sees only the inputs of a lower degree.
    """

    sources: Sequence[int]
    targets: Sequence[int]
    strict: bool = False

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Maps x `[..., len(sources)]` (and a condition `[..., c]`) to `[..., len(targets)]`.

        Raises:
          ValueError: x has another number of inputs.
        """
        size = len(self.sources), len(self.targets)
        if x.shape[-1] != size[0]:
            raise ValueError(f"`x` must have {size[0]} numbers in its last axis, got {x.shape}")
        kernel = self.param("kernel", nn.initializers.lecun_normal(), size, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, size[1:], jnp.float32)
        h = as_rows(x) @ jnp.where(self.mask(), kernel, 0) + bias[None]
        h = h.reshape(*x.shape[:-1], size[1])
        if condition is None:
            return h
        seen = nn.Dense(size[1], use_bias=False, name="condition")(as_rows(condition))
        return h + jnp.broadcast_to(seen.reshape(*condition.shape[:-1], size[1]), h.shape)

    def mask(self) -> np.ndarray:
        """Returns whether each output sees each input, booleans `[len(sources), len(targets)]`."""
        sources, targets = np.asarray(self.sources)[:, None], np.asarray(self.targets)[None]
        return sources < targets if self.strict else sources <= targets


class MADE(nn.Module):
    """Data -> the parameters of p(x_d | x_<d) for each number of an example, in one pass.

    All units see a condition (z, say): the outputs are then parameters of p(x_d | x_<d, condition).

    Attributes:
      shape: shape of one example of D numbers; other shapes are refused while tracing.
      emits: the outputs; those that depend on x start with `shape`: `bernoulli(shape).outputs`, say.
      hidden: widths of the hidden layers. Below D - 1, an output does not see the last few numbers before it.
      order: place of each number of an example in the factorisation, a permutation of 1 to D; None is row by row.
      activation: activation between layers.
      dropout: dropout rate of the hidden units, if a key "dropout" is given.
    """

    shape: Shape
    emits: Emits
    hidden: Sequence[int] = (500,)
    order: Sequence[int] | None = None
    activation: Callable[[Array], Array] = jax.nn.relu
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """Maps x `[..., *shape]` (and a condition `[..., c]`) to `[..., *output]` per output.

        Raises:
          ValueError: `order` is no permutation of 1 to D, x has another shape, or an output does not start with
            `shape`.
        """
        degrees, lead = self._places(), len(self.shape)
        h = flattened(x, self.shape)
        for name, output in named(self.emits).items():
            if output.of_input and tuple(output.shape[:lead]) != tuple(self.shape):
                raise ValueError(f"`emits` must start with {tuple(self.shape)}, got {output.shape} for {name!r}")
        places, batch = degrees, h.shape[:-1]
        for width in self.hidden:
            wider = _degrees(width, max(len(places) - 1, 1))
            h = dropped(self, self.dropout, self.activation(MaskedDense(degrees, wider)(h, condition)))
            degrees = wider

        def parameters(name: str, shape: Shape) -> Array:
            targets = tuple(np.repeat(places, math.prod(shape[lead:])).tolist())
            return MaskedDense(degrees, targets, strict=True, name=name)(h, condition).reshape(*batch, *shape)

        return emit(self, self.emits, parameters)

    def _places(self) -> tuple[int, ...]:
        size = math.prod(self.shape)
        places = tuple(range(1, size + 1)) if self.order is None else tuple(self.order)
        if sorted(places) != list(range(1, size + 1)):
            raise ValueError(f"`order` must be a permutation of 1 to {size}, got {places}")
        return places


def _degrees(width: int, largest: int) -> tuple[int, ...]:
    """Returns degrees from 1 to `largest` for the units of a layer: in turn, or of few units evenly spread."""
    if width >= largest:
        return tuple(1 + k % largest for k in range(width))
    return tuple(np.linspace(1, largest, width).round().astype(int).tolist())
