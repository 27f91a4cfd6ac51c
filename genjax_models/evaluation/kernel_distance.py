"""The kernel distance between features of samples and of data (Bińkowski et al., 2018; KID on Inception's features).

It is the squared MMD of k(x, y) = (x.y / d + 1)^3. So it compares the first three moments; lower moments weigh more.
The estimate is unbiased for every number of samples; the Fréchet distance is biased. So it is negative about half of
the time if samples have the distribution of the data. Take no root of it.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import BLOCK_SIZE
from genjax_models.estimators.kernels import as_points, check_size, polynomial_kernel
from genjax_models.estimators.two_sample_test import mmd_squared_and_variance
from genjax_models.evaluation.features import check_features, largest
from genjax_models.types import Array, Tracer


def kernel_distance(samples: Array, data: Array, *, block_size: int = BLOCK_SIZE) -> tuple[Array, Array]:
    """Returns the squared unbiased MMD of degree 3, scale 1 / d and offset 1, and its standard error, two scalars.

    The standard error is the jackknife's (each point left out once) to leading order. If the distributions are equal,
    it is too large by a factor of about sqrt(2). Pure and traceable, in O(block_size (n + m)) memory.

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2.
      block_size: number of points that are compared with all others at a time.

    Raises:
      ValueError: too few rows, features of two sizes or not finite, a `block_size` below 1, or features whose kernel
        float32 cannot hold: their largest value is below 1e-8, or above about 1e3. While tracing, values are not
        checked: the figure is then NaN, infinite or 0.
    """
    check_features(2, samples=samples, data=data)
    check_size("block_size", block_size)
    distance, error = _kernel_distance(as_points(samples), as_points(data), block_size)
    if not isinstance(distance, Tracer):
        size = largest(samples, data)
        if 0 < size < 1e-8 or not (np.isfinite(distance) and np.isfinite(error)):  # their variance is 0, or overflows
            raise ValueError(
                "the kernel distance needs features of which float32 can hold all powers from 4 to 12, about 1e-8 to"
                f" 1e3, got values up to {size:.2g}. Scale all features by one number."
            )
    return distance, error


@partial(jax.jit, static_argnums=2)
def _kernel_distance(x: Array, y: Array, block_size: int) -> tuple[Array, Array]:
    kernel = polynomial_kernel(3, scale=1 / x.shape[1], offset=1.0)
    mmd_squared, variance = mmd_squared_and_variance(x, y, kernel, block_size=block_size)
    return mmd_squared, jnp.sqrt(variance)
