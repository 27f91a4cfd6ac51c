"""Fully connected encoders and generators for data of any shape."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax

from genjax_models.networks.outputs import Emits, Emitted, dense_output, emit
from genjax_models.networks.shapes import as_rows, flattened, with_condition
from genjax_models.types import Array, Shape

Activation = Callable[[Array], Array]


class MLP(nn.Module):
    """Hidden layers alone: `[..., width]` -> `[..., hidden[-1]]`; none at all is the identity.

    `dropout` is the share of their units that is left out, wherever a key "dropout" is given.
    """

    hidden: Sequence[int]
    activation: Activation = jax.nn.relu
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Each layer is a linear map, the activation and dropout."""
        h = as_rows(x)
        for width in self.hidden:
            h = dropped(self, self.dropout, self.activation(nn.Dense(width)(h)))
        return h.reshape(*x.shape[:-1], h.shape[-1])


def dropped(module: nn.Module, share: float, h: Array) -> Array:
    """h without a `share` of its numbers, the others as much larger, where `module` has been given a key "dropout"."""
    return nn.Dropout(share, deterministic=not module.has_rng("dropout"))(h)


class MLPEncoder(nn.Module):
    """Data -> what `emits` names, through fully connected layers.

    Attributes:
      shape: of one example; another is refused while tracing.
      emits: a shape, or names and shapes.
      hidden: widths of the hidden layers.
      activation: between layers.
      dropout: share of hidden units that is left out, wherever a key "dropout" is given.
      input_dropout: the same of the data.
    """

    shape: Shape
    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu
    dropout: float = 0.0
    input_dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Emitted:
        """x `[..., *shape]` (and a condition `[..., c]`) -> `[..., *output]` for each output."""
        x = dropped(self, self.input_dropout, flattened(x, self.shape))
        features = MLP(self.hidden, self.activation, self.dropout)(with_condition(x, condition))
        return emit(self, self.emits, features.shape[:-1], lambda name, shape: dense_output(features, name, shape))


class MLPGenerator(nn.Module):
    """Latent z -> what `emits` names, through fully connected layers; attributes are as in `MLPEncoder`."""

    emits: Emits
    hidden: Sequence[int] = (400,)
    activation: Activation = jax.nn.relu
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z: Array, condition: Array | None = None) -> Emitted:
        """z `[..., latent]` (and a condition `[..., c]`) -> `[..., *output]` for each output."""
        features = MLP(self.hidden, self.activation, self.dropout)(with_condition(z, condition))
        return emit(self, self.emits, features.shape[:-1], lambda name, shape: dense_output(features, name, shape))
