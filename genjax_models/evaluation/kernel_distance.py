"""The kernel distance of two samples' features (the KID of Bińkowski et al., 2018, where the features are Inception's).

It is the squared MMD of k(x, y) = (x.y / d + 1)^3: the first three moments are compared, those of lower order weighing
more. The estimate is unbiased, whatever the number of samples, which the Fréchet distance's is not; so it is about as
often negative as not where samples are distributed as the data are. Take no root of it.
"""

from functools import partial

import jax
import jax.numpy as jnp

from genjax_models.estimators.gram_sums import BLOCK_SIZE
from genjax_models.estimators.kernels import as_points, check_size, polynomial_kernel
from genjax_models.estimators.two_sample_test import mmd_squared_and_variance
from genjax_models.evaluation.features import check_features
from genjax_models.types import Array


def kernel_distance(samples: Array, data: Array, *, block_size: int = BLOCK_SIZE) -> tuple[Array, Array]:
    """The squared unbiased MMD of degree 3, scale 1 / d and offset 1, and its standard error: two scalars.

    The standard error is the jackknife's (each point left out once) to its leading order. Where the distributions are
    equal, it is the larger of the two by about sqrt(2). Pure and traceable, in O(block_size (n + m)) memory.

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2.
      block_size: how many points are compared with all others at a time.

    Raises:
      ValueError: too few, features of two sizes or not finite, or a `block_size` below 1.
    """
    check_features(2, samples=samples, data=data)
    check_size("block_size", block_size)
    return _kernel_distance(as_points(samples), as_points(data), block_size)


@partial(jax.jit, static_argnums=2)
def _kernel_distance(x: Array, y: Array, block_size: int) -> tuple[Array, Array]:
    kernel = polynomial_kernel(3, scale=1 / x.shape[1], offset=1.0)
    mmd_squared, variance = mmd_squared_and_variance(x, y, kernel, block_size=block_size)
    return mmd_squared, jnp.sqrt(variance)
