"""Nearest training neighbours of samples: has the generator memorised training data?"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.estimators.kernels import as_points, check_size, robust_centre, squared_distances_about
from genjax_models.evaluation.estimates import Share, share
from genjax_models.evaluation.features import check_features, check_squares, flat
from genjax_models.types import Array

_BLOCK = 256  # rows that are compared with all training examples at a time
_ROUNDING = 4 * 2.0**-24  # of a sum of d float32 numbers, times sqrt(d): 4 standard errors of random rounding


class Neighbours(NamedTuple):
    """The `indices` `[n, k]` of the nearest training examples, and the `distances` `[n, k]`, nearest first."""

    indices: Array
    distances: Array


def nearest_neighbours(x: Array, train: Array, *, neighbours: int = 1) -> Neighbours:
    """Returns the nearest of `train` in Euclidean distance, for each of `x`.

    Distances are computed from differences, so that a copy is at 0; ties go to the lower index. Expanded squares choose
    the neighbours, 256 rows at a time. If their rounding may hide a nearer example, as among near copies, the row is
    compared with all of `train` by differences. Images and features are flattened to vectors.

    Args:
      x: images or features, `[n, ...]`.
      train: training examples in the same range, `[m, ...]`, as `Prepared.training_examples`.
      neighbours: k, from 1 to m.

    Raises:
      ValueError: x or train are empty, of different sizes, not finite or not floating point; float32 cannot hold
        squares of their values; or `neighbours` is out of range. While tracing, values are not checked: distances may
        then be infinite or NaN, and neighbours wrong.
    """
    x, train = flat(x), flat(train)
    check_features(1, samples=x, training_examples=train)
    check_squares(samples=x, training_examples=train)
    check_size("neighbours", neighbours)
    if neighbours > len(train):
        raise ValueError(f"`neighbours` must be 1 to {len(train)} training examples, got {neighbours}")
    return _nearest(as_points(x), as_points(train), neighbours)


def nearest_in_parts(x: Array, parts: Iterable[Array]) -> Neighbours:
    """Returns the nearest training example, for each of `x`, with one part of the training examples in memory.

    Args:
      x: images or features, `[n, ...]`.
      parts: parts of the training examples, `[m_i, ...]`; indices count through all parts.

    Returns:
      The nearest: leaves `[n, 1]`.

    Raises:
      ValueError: as `nearest_neighbours`; or there are no parts.
    """
    best, before = None, 0
    for part in parts:
        nearest = nearest_neighbours(x, part)
        nearest = nearest._replace(indices=nearest.indices + before)
        before += len(part)
        if best is not None:
            nearest = jax.tree.map(partial(jnp.where, nearest.distances < best.distances), nearest, best)
        best = nearest
    if best is None:
        raise ValueError("`parts` must hold at least 1 training example, got no part")
    return best


@partial(jax.jit, static_argnums=2)
def _nearest(x: Array, train: Array, k: int) -> Neighbours:
    """Returns the k nearest of `train` `[m, d]` for each row of x `[n, d]`."""
    indices = _nearest_indices(*jax.lax.stop_gradient((x, train)), k)
    distances = _distances(x, train, indices)
    order = jnp.lexsort((indices, distances), axis=1)  # rounding of the expanded squares may have exchanged two
    return Neighbours(jnp.take_along_axis(indices, order, axis=1), jnp.take_along_axis(distances, order, axis=1))


def _nearest_indices(x: Array, train: Array, k: int) -> Array:
    """Returns the indices of the k nearest of `train`, `[n, k]`, in any order."""
    centre = robust_centre(train)

    def by_squares(rows: Array) -> tuple[Array, Array]:
        """Returns k indices per row, and if another example may be nearer than one of them."""
        squared = squared_distances_about(centre, rows, train)
        indices = jax.lax.top_k(-squared, k)[1]
        farthest = jnp.max(_distances(rows, train, indices), axis=1)
        norms = 2 * jnp.linalg.norm(rows - centre[None], axis=1) + farthest  # of it and of an example as near
        rounding = _ROUNDING * np.sqrt(train.shape[1]) * norms**2
        near = squared <= (farthest**2 + rounding)[:, None]
        count = jnp.matmul(near.astype(jnp.float32), jnp.ones(len(train)))  # on a CPU, a sum takes three times as long
        return indices, count > k

    def by_differences(row: Array) -> Array:
        return jax.lax.top_k(-jnp.linalg.norm(train - row[None], axis=1), k)[1]

    indices, uncertain = map_blocks(by_squares, x, _BLOCK)
    order = jnp.argsort(~uncertain)  # uncertain rows first
    correct = lambda i, indices: indices.at[order[i]].set(by_differences(x[order[i]]))
    return jax.lax.fori_loop(0, jnp.sum(uncertain), correct, indices)


def _distances(x: Array, train: Array, indices: Array) -> Array:
    """Returns the distances `[n, k]` of x `[n, d]` to the examples at `indices` `[n, k]`, from differences."""
    return jax.lax.map(lambda column: jnp.linalg.norm(x - train[column], axis=1), indices.T).T


def data_copying(samples: Array, train: Array, test: Array) -> Share:
    """Returns P(a sample is nearer to training data than a test example): Meehan, Chaudhuri and Dasgupta (2020).

    All pairs of a sample and a test example compare their distances to the nearest training example; ties count one
    half. The figure is Mann and Whitney's statistic over n m, with the standard error of DeLong et al. (1988). It is
    1/2 if samples are as far from training data as new data, near 1 if they are copies, and below 1/2 if they are far
    from all data. Smooth samples (means of p(x | z), for example) are near to everything in pixels: look at pictures.

    Args:
      samples: images or features, `[n, ...]`, n at least 2.
      train: training data of the generator, `[k, ...]`, prepared as the samples.
      test: held-out data, `[m, ...]`, m at least 2.

    Returns:
      The probability; its error takes training data as fixed.

    Raises:
      ValueError: too few examples, of different sizes, not finite or not floating point, or of values whose squares
        float32 cannot hold.
    """
    check_features(2, samples=flat(samples), test_examples=flat(test))
    return data_copying_by_distances(*(nearest_neighbours(x, train).distances[:, 0] for x in (samples, test)))


def data_copying_by_distances(of_samples: Array, of_test: Array) -> Share:
    """Returns `data_copying` by distances to the nearest training example: `[n]` of samples, `[m]` of test examples."""
    of_samples, of_test = np.sort(of_samples), np.sort(of_test)
    nearer = 1 - _share_below(of_test, of_samples)  # for each sample, the share of test examples farther away
    farther = _share_below(of_samples, of_test)  # for each test example, the share of samples nearer
    variance = np.var(nearer, ddof=1) / len(nearer) + np.var(farther, ddof=1) / len(farther)
    return share(float(np.mean(nearer)), float(np.sqrt(variance)), len(nearer), len(farther))


def _share_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the share of `ordered` below each value; ties count one half."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(ordered))
