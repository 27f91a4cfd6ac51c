"""A small convolutional classifier: images -> logits, and on the way the features that samples are judged by."""

from collections.abc import Sequence

import flax.linen as nn
import jax

from genjax_models.networks.convolution import Convolution
from genjax_models.networks.mlp import Activation
from genjax_models.networks.shapes import lead_of
from genjax_models.types import Array, Shape

_KERNEL = (4, 4)
_STRIDES = (2, 2)


class ConvolutionalClassifier(nn.Module):
    """Images -> logits, through strided convolutions and one hidden layer.

    Attributes:
      shape: `(height, width, channels)` of one image; another is refused while tracing.
      classes: how many.
      channels: of each level, from the largest image to the smallest.
      width: of the hidden layer, whose activations are the features.
      dropout: share of units in front of and behind the hidden layer that are left out, wherever a key "dropout" is
        given. Without that key none are.
      activation: between layers.
    """

    shape: Shape
    classes: int
    channels: Sequence[int] = (32, 64, 64)
    width: int = 128
    dropout: float = 0.0
    activation: Activation = jax.nn.relu

    def setup(self) -> None:
        """The layers, by the names of their parameters."""
        if len(self.shape) != 3:
            raise ValueError(f"the classifier takes images of shape (height, width, channels), got {self.shape}")
        self.convolutions = [Convolution(channels, _KERNEL, _STRIDES) for channels in self.channels]
        self.hidden = nn.Dense(self.width)
        self.logits = nn.Dense(self.classes)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, x: Array) -> Array:
        """x `[..., height, width, channels]` -> logits `[..., classes]`."""
        return self.logits(self._dropped(self.features(x)))

    def features(self, x: Array) -> Array:
        """x `[..., height, width, channels]` -> the hidden layer's activations `[..., width]`."""
        lead = lead_of(x, self.shape)
        h = x.reshape(-1, *self.shape)
        for convolution in self.convolutions:
            h = self.activation(convolution(h))
        return self.activation(self.hidden(self._dropped(h.reshape(*lead, -1))))

    def _dropped(self, h: Array) -> Array:
        return self.drop(h, deterministic=not self.has_rng("dropout"))
