"""A small convolutional classifier: images -> logits, with features to judge samples by."""

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
      shape: `(height, width, channels)` of one image; other shapes are refused while tracing.
      classes: number of classes.
      channels: channels per level, from the largest image to the smallest.
      width: units of the hidden layer; their activations are the features.
      dropout: dropout rate before and after the hidden layer, if a key "dropout" is given. Without the key there is no
        dropout.
      activation: activation between layers.
    """

    shape: Shape
    classes: int
    channels: Sequence[int] = (32, 64, 64)
    width: int = 128
    dropout: float = 0.0
    activation: Activation = jax.nn.relu

    def setup(self) -> None:
        """Makes the layers; their names are the names of their parameters."""
        if len(self.shape) != 3:
            raise ValueError(f"the classifier needs images of shape (height, width, channels), got {self.shape}")
        self.convolutions = [Convolution(channels, _KERNEL, _STRIDES) for channels in self.channels]
        self.hidden = nn.Dense(self.width)
        self.logits = nn.Dense(self.classes)
        self.drop = nn.Dropout(self.dropout)

    def __call__(self, x: Array) -> Array:
        """Returns the logits `[..., classes]` of x `[..., height, width, channels]`."""
        return self.logits(self._dropout(self.features(x)))

    def features(self, x: Array) -> Array:
        """Returns the activations of the hidden layer, `[..., width]`, for x `[..., height, width, channels]`."""
        lead = lead_of(x, self.shape)
        h = x.reshape(-1, *self.shape)
        for convolution in self.convolutions:
            h = self.activation(convolution(h))
        return self.activation(self.hidden(self._dropout(h.reshape(*lead, -1))))

    def _dropout(self, h: Array) -> Array:
        return self.drop(h, deterministic=not self.has_rng("dropout"))
