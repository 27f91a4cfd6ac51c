"""Fully connected encoders and generators for data of any shape."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from genjax_models.networks.outputs import Emits, Emitted, dense_output, emit
from genjax_models.networks.shapes import as_rows, beside, flattened
from genjax_models.types import Array, Shape

Activation = Callable[[Array], Array]


class MLP(nn.Module):
    """Hidden layers alone: `[..., width]` -> `[..., hidden[-1]]`; none at all is the identity."""

    hidden: Sequence[int]
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Each layer is a linear map and the activation."""
        h = as_rows(x)
        for width in self.hidden:
            h = self.activation(nn.Dense(width)(h))
        return h.reshape(*x.shape[:-1], h.shape[-1])


class MLPEncoder(nn.Module):
    """Data -> what `emits` names, through fully connected layers.

    Attributes:
      shape: of one example; another is refused while tracing.
      emits: a shape, or names and shapes.
      hidden: widths of the hidden layers.
      activation: between layers.
    """

    shape: Shape
    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """x `[..., *shape]` (and a condition `[..., c]`) -> `[..., *output]` for each output."""
        features = MLP(self.hidden, self.activation)(beside(flattened(x, self.shape), condition))
        return emit(self, self.emits, features.shape[:-1], lambda name, shape: dense_output(features, name, shape))


class MLPGenerator(nn.Module):
    """Latent z -> what `emits` names, through fully connected layers; attributes as in `MLPEncoder`."""

    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Emitted:
        """z `[..., latent]` (and a condition `[..., c]`) -> `[..., *output]` for each output."""
        features = MLP(self.hidden, self.activation)(beside(z, condition))
        return emit(self, self.emits, features.shape[:-1], lambda name, shape: dense_output(features, name, shape))
