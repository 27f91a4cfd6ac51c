"""Discriminators: data -> one logit for each example, that it is real."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax

from genjax_models.networks.mlp import Activation
from genjax_models.networks.shapes import flattened, with_condition
from genjax_models.types import Array, Shape


class MLPDiscriminator(nn.Module):
    """Data -> logits, through fully connected layers.

    Attributes:
      shape: of one example; another is refused while tracing.
      hidden: widths of the hidden layers.
      activation: between layers.
      dropout: share of hidden units that are left out, wherever a key "dropout" is given, each time anew: while the
        discriminator learns, and while the generator learns from it. Without that key none are.
    """

    shape: Shape
    hidden: Sequence[int] = (400,)
    activation: Activation = partial(jax.nn.leaky_relu, negative_slope=0.2)
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """x `[..., *shape]` (and a condition `[..., c]`) -> logits `[...]`."""
        h = with_condition(flattened(x, self.shape), condition)
        for width in self.hidden:
            h = self.activation(nn.Dense(width)(h))
            h = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(h)
        return nn.Dense(1, name="logit")(h)[..., 0]
