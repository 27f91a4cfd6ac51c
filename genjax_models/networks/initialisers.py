"""Initial values of kernels: orthogonal, or N(0, 0.02^2) (Brock et al., 2019)."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Dtype, Initializer, PRNGKey, Shape

from genjax_models.types import Array

Initial = Literal["orthogonal", "normal"]


def kernel_initialiser(name: Initial) -> Initializer:
    """Returns the initialiser of this name."""
    return {"orthogonal": orthogonal, "normal": nn.initializers.normal(0.02)}[name]


def orthogonal(key: PRNGKey, shape: Shape, dtype: Dtype = jnp.float32) -> Array:
    """Returns a kernel `[..., in, out]` whose matrix has orthonormal columns; rows, if it has fewer rows."""
    return nn.initializers.orthogonal()(key, shape, dtype)
