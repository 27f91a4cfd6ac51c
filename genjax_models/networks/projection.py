"""The projection discriminator: the class enters the logit as an inner product (Miyato and Koyama, 2018)."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer

from genjax_models.networks.spectral_normalisation import SpectralNormalisation
from genjax_models.types import Array

Head = Literal["concat", "projection"]  # how a discriminator sees a class: as planes of the image, or in the logit


class Projection(nn.Module):
    """embedding(y) . features: the part of the logit that depends on the class.

    The optimal logit is log p(y | x) / q(y | x) + log p(x) / q(x). The first term is linear in y, one-hot; the second
    is for a head that does not see y. An offset of each class needs a feature that is constant in x.

    Attributes:
      spectral: whether the embedding has spectral normalisation.
      kernel_init: initialiser of the embedding.
    """

    spectral: bool = True
    kernel_init: Initializer = nn.initializers.normal(0.02)

    @nn.compact
    def __call__(self, features: Array, y: Array) -> Array:
        """Returns `[n]` of features `[n, f]` and a condition y `[n, c]`: a class one-hot, or weights of classes."""
        layer = nn.Dense(features.shape[-1], use_bias=False, kernel_init=self.kernel_init, name="embedding")
        return jnp.sum((SpectralNormalisation(layer) if self.spectral else layer)(y) * features, axis=-1)
