"""Batch normalisation whose gain and bias follow a condition (Brock et al., 2019)."""

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Array


class ConditionalBatchNorm(nn.Module):
    """x -> (x - mean) / sqrt(variance + epsilon) (1 + gain(y)) + bias(y), channel by channel.

    Mean and variance are of the whole batch, not of one class, over all axes but the last; the variance is divided by
    n. They are the batch's if "batch_stats" is mutable, else running averages. `gain` and `bias` are linear maps of y,
    spectrally normalised, without biases of their own: at y = 0 this is batch normalisation without parameters.

    Attributes:
      kernel_init: initialiser of both maps.
      momentum: weight of the past in the running averages.
      epsilon: number added to the variance.
    """

    kernel_init: Initializer = nn.initializers.normal(0.02)
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Array, y: Array) -> Array:
        """Returns x `[batch, ..., channels]`, normalised; y is `[batch, c]`.

        Raises:
          ValueError: y is not `[batch, c]` with the batch of x.
        """
        if y.ndim != 2 or x.ndim < 2 or y.shape[0] != x.shape[0]:
            raise ValueError(f"y must be [batch, c] with the batch of x, got {y.shape} for x {x.shape}")
        judging = not self.is_mutable_collection("batch_stats")
        options = {"momentum": self.momentum, "epsilon": self.epsilon, "dtype": x.dtype}
        normalise = nn.BatchNorm(judging, use_bias=False, use_scale=False, **options)

        def of_condition(name: str) -> Array:
            layer = nn.Dense(x.shape[-1], use_bias=False, kernel_init=self.kernel_init, name=name)
            return jnp.expand_dims(SpectralNormalisation(layer)(y), range(1, x.ndim - 1))

        return normalise(x) * (1 + of_condition("gain")) + of_condition("bias")
