"""Discriminators: data -> one logit per example. The logit is high if the example looks real."""

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
      shape: shape of one example; other shapes are refused while tracing.
      hidden: widths of the hidden layers.
      activation: activation between layers.
      dropout: dropout rate of hidden units, if a key "dropout" is given. The mask is new in each call, both while the
        discriminator learns and while the generator learns from it. Without the key there is no dropout.
    """

    shape: Shape
    hidden: Sequence[int] = (400,)
    activation: Activation = partial(jax.nn.leaky_relu, negative_slope=0.2)
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, condition: Array | None = None) -> Array:
        """Returns the logits `[...]` of x `[..., *shape]` (and a condition `[..., c]`)."""
        h = with_condition(flattened(x, self.shape), condition)
        for width in self.hidden:
            h = self.activation(nn.Dense(width)(h))
            h = nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(h)
        return nn.Dense(1, name="logit")(h)[..., 0]
