"""Nearest training neighbours: has a generator learned, or memorised?"""

from collections.abc import Iterable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import map_blocks
from genjax_models.estimators.kernels import as_points, check_size, squared_distances
from genjax_models.evaluation.estimates import Estimate
from genjax_models.evaluation.features import check_features, flat
from genjax_models.types import Array

_BLOCK = 256  # rows at a time, beside all training examples


class Neighbours(NamedTuple):
    """`indices` `[n, k]` of training examples and `distances` `[n, k]` to them, the nearest first."""

    indices: Array
    distances: Array


def nearest_neighbours(x: Array, train: Array, *, neighbours: int = 1) -> Neighbours:
    """The nearest of `train` in Euclidean distance, for each of `x`.

    Distances are of the differences themselves, so that a copy is at 0; ties go to the lower index. Images or features
    alike: both are taken as vectors. 256 rows at a time are compared with all of `train`.

    Args:
      x: `[n, ...]`.
      train: `[m, ...]`, prepared as x is (in the same range; `Prepared.train` is as it is stored).
      neighbours: k, from 1 to m.

    Raises:
      ValueError: x or train are empty, of different sizes, not finite or not floating point; `neighbours` out of range.
    """
    x, train = flat(x), flat(train)
    check_features(1, samples=x, training_examples=train)
    check_size("neighbours", neighbours)
    if neighbours > len(train):
        raise ValueError(f"neighbours must be at most the {len(train)} training examples, got {neighbours}")
    return _nearest(as_points(x), as_points(train), neighbours)


def nearest_in_parts(x: Array, parts: Iterable[Array]) -> Neighbours:
    """As `nearest_neighbours`, of training examples that come in parts, one after the other: memory need hold but one.

    Args:
      x: `[n, ...]`.
      parts: `[m_i, ...]` each; indices count through all.

    Returns:
      The nearest: leaves `[n, 1]`.

    Raises:
      ValueError: as `nearest_neighbours`; no parts.
    """
    best, before = None, 0
    for part in parts:
        found = nearest_neighbours(x, part)
        found = found._replace(indices=found.indices + before)
        before += len(part)
        if best is not None:
            found = jax.tree.map(partial(jnp.where, found.distances < best.distances), found, best)
        best = found
    if best is None:
        raise ValueError("training_examples must be at least 1, got no part of them")
    return best


@partial(jax.jit, static_argnums=2)
def _nearest(x: Array, train: Array, k: int) -> Neighbours:
    indices = map_blocks(lambda rows: jax.lax.top_k(-squared_distances(rows, train), k)[1], x, _BLOCK)
    distances = jax.lax.map(lambda column: jnp.linalg.norm(x - train[column], axis=1), indices.T).T
    order = jnp.argsort(distances, axis=1)  # rounding of the expanded squares may have exchanged two
    return Neighbours(jnp.take_along_axis(indices, order, axis=1), jnp.take_along_axis(distances, order, axis=1))


def data_copying(samples: Array, train: Array, test: Array) -> Estimate:
    """P(a sample is nearer to training data than a test example is): the test of Meehan, Chaudhuri and Dasgupta (2020).

    The distance to the nearest training example is compared over all pairs of a sample and a test example, ties for
    half: Mann and Whitney's statistic over n m, with its standard error by DeLong et al. (1988). 1/2 where samples are
    as far from the training data as new data are; towards 1 where they are copies; below where they are far from all
    data. Samples that are smooth (means of p(x | z), say) are near to everything in pixels: look at the pictures.

    Args:
      samples: `[n, ...]`, images or features, n at least 2.
      train: `[k, ...]`, what the generator has learned from, prepared as the others are.
      test: `[m, ...]`, held out, m at least 2.

    Returns:
      The share as a `Estimate`; training data count as given.

    Raises:
      ValueError: too few, of different sizes, not finite or not floating point.
    """
    check_features(2, samples=flat(samples), test_examples=flat(test))
    return data_copying_by_distances(*(nearest_neighbours(x, train).distances[:, 0] for x in (samples, test)))


def data_copying_by_distances(of_samples: Array, of_test: Array) -> Estimate:
    """`data_copying`, of distances to the nearest training example: `[n]` of samples, `[m]` of test examples."""
    of_samples, of_test = np.sort(of_samples), np.sort(of_test)
    nearer = 1 - _share_below(of_test, of_samples)  # of the test examples, for each sample
    farther = _share_below(of_samples, of_test)  # of the samples, for each test example
    variance = np.var(nearer, ddof=1) / len(nearer) + np.var(farther, ddof=1) / len(farther)
    return Estimate(float(np.mean(nearer)), float(np.sqrt(variance)), len(nearer), len(farther))


def _share_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of `ordered` that is below each value, ties for half."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(ordered))
