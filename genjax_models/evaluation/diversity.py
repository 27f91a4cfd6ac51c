"""Diversity: the distance between samples, relative to the distance between data; it falls if a generator collapses."""

import jax
import jax.numpy as jnp

from genjax_models.estimators.gram_sums import BLOCK_SIZE, row_sums
from genjax_models.estimators.kernels import as_points, robust_centre, safe_sqrt, squared_distances_about
from genjax_models.evaluation.features import check_features
from genjax_models.types import Array, Tracer


def diversity(samples: Array, data: Array) -> tuple[Array, Array]:
    """Returns the mean distance of two samples over the mean distance of two examples of data, and its standard error.

    Distances are Euclidean distances of features. The figure is 1 if samples differ as much as data, and 0 if all
    samples are equal. Both means are U-statistics over all pairs, computed 512 rows at a time. Their errors come from
    the mean distances from each point, and join by the rule for a quotient. Pure and traceable.

    Args:
      samples: features `[n, d]`, n at least 2.
      data: features `[m, d]`, m at least 2, not all equal (unchecked while tracing: the figure is then inf or NaN).

    Raises:
      ValueError: too few rows, features of two sizes or not finite, or data that are all equal.
    """
    check_features(2, samples=samples, data=data)
    samples, data = as_points(samples), as_points(data)
    if not isinstance(data, Tracer) and (data == data[:1]).all():
        raise ValueError(f"`data` must differ from each other, got {len(data)} that are all equal")
    (own, own_error), (others, others_error) = _pairwise(samples), _pairwise(data)
    ratio = own / others
    return ratio, jnp.hypot(own_error / others, ratio * (others_error / others))


@jax.jit
def _pairwise(x: Array) -> tuple[Array, Array]:
    """Returns the mean distance of two rows of x `[n, d]`, and its standard error."""
    x = x - robust_centre(x)[None]
    unit = jnp.max(jnp.abs(x))  # no square overflows or vanishes
    unit = jnp.where(unit > 0, unit, 1)
    x = x / unit
    distance = lambda a, b: safe_sqrt(squared_distances_about(jnp.zeros(a.shape[1]), a, b))
    # The distance of a point to itself is only rounding: at most 1e-4 of the features' spread, once in n terms.
    means = row_sums(distance, x, x, BLOCK_SIZE) / (len(x) - 1)
    return unit * jnp.mean(means), unit * 2 * jnp.std(means) / jnp.sqrt(len(x))
