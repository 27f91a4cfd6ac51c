"""Fully connected encoders and generators for data of any shape."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from genjax_models.networks.outputs import Emits, Emitted, dense_output, emit
from genjax_models.networks.shapes import as_rows, flattened, with_condition
from genjax_models.types import Array, Shape

Activation = Callable[[Array], Array]


class MLP(nn.Module):
    """Only hidden layers: `[..., width]` -> `[..., hidden[-1]]`; without layers, the identity.

    `dropout` is the dropout rate of the hidden units, if a key "dropout" is given.
    """

    hidden: Sequence[int]
    activation: Activation = jax.nn.relu
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Applies a linear map, the activation and dropout per layer."""
        h = as_rows(x)
        for width in self.hidden:
            h = dropped(self, self.dropout, self.activation(nn.Dense(width)(h)))
        return h.reshape(*x.shape[:-1], h.shape[-1])


def dropped(module: nn.Module, share: float, h: Array) -> Array:
    """Returns h after dropout at rate `share`, if `module` has a key "dropout"; else h. Kept numbers are scaled up."""
    return nn.Dropout(share, deterministic=not module.has_rng("dropout"))(h)


class MLPEncoder(nn.Module):
    """Data -> the outputs in `emits`, through fully connected layers.

    Attributes:
      shape: shape of one example; other shapes are refused while tracing.
      emits: a shape, or names and shapes.
      hidden: widths of the hidden layers.
      activation: activation between layers.
      dropout: dropout rate of hidden units, if a key "dropout" is given.
      input_dropout: dropout rate of the data, if a key "dropout" is given.
    """

    shape: Shape
    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu
    dropout: float = 0.0
    input_dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """Maps x `[..., *shape]` (and a condition `[..., c]`) to `[..., *output]` per output."""
        x = dropped(self, self.input_dropout, flattened(x, self.shape))
        features = MLP(self.hidden, self.activation, self.dropout)(with_condition(x, condition))
        return emit(self, self.emits, lambda name, shape: dense_output(features, name, shape))


class MLPGenerator(nn.Module):
    """Latent z -> the outputs in `emits`, through fully connected layers; attributes as in `MLPEncoder`."""

    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Emitted:
        """Maps z `[..., latent]` (and a condition `[..., c]`) to `[..., *output]` per output."""
        features = MLP(self.hidden, self.activation, self.dropout)(with_condition(z, condition))
        return emit(self, self.emits, lambda name, shape: dense_output(features, name, shape))
