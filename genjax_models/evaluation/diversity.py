"""How much samples differ from each other, beside how much data do: what falls when a generator collapses."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.gram_sums import BLOCK_SIZE, row_sums
from genjax_models.estimators.kernels import as_points, safe_sqrt, squared_distances
from genjax_models.evaluation.features import check_features
from genjax_models.types import Array, Tracer


def diversity(samples: Array, data: Array) -> tuple[Array, Array]:
    """The mean Euclidean distance of two samples' features over that of two examples of data, and its standard error.

    1 where samples are as different as data are, 0 where all are one. Every pair is compared once, 512 rows at a
    time; the means are U-statistics, whose errors are of the mean distances from each point, joined by the rule for a
    quotient. Pure and traceable.

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2, not all of them equal (unchecked while tracing: the answer is then inf).

    Raises:
      ValueError: too few, features of two sizes or not finite, or data that are all equal.
    """
    check_features(2, samples=samples, data=data)
    if not isinstance(data, Tracer) and (data == data[0]).all():
        raise ValueError(f"diversity is measured against data that differ, and all {len(data)} are equal")
    (own, own_error), (others, others_error) = _pairwise(as_points(samples)), _pairwise(as_points(data))
    ratio = own / others
    return ratio, jnp.sqrt(own_error**2 + (ratio * others_error) ** 2) / others


@jax.jit
def _pairwise(x: Array) -> tuple[Array, Array]:
    """The mean distance of two of x `[n, d]`, and its standard error."""
    distance = lambda a, b: safe_sqrt(squared_distances(a, b))
    # Of a point and itself the sum holds rounding alone: 1e-4 of the features' spread at most, once in n.
    means = row_sums(distance, x, x, BLOCK_SIZE) / (len(x) - 1)
    return jnp.mean(means), 2 * jnp.std(means) / jnp.sqrt(len(x))
