"""Are two samples of the same distribution? A permutation test of the MMD, and the bandwidth that gives it power.

Under the hypothesis that they are, the n + m points of both are exchangeable, and so is the squared unbiased MMD among
itself and its values after B random relabellings of the points: p = (1 + count) / (1 + B), with the count of values at
least as large as the one observed, is uniform on 1/(1 + B), ..., 1 where there are no ties, and P(p <= a) <= a where
there are. This is exact at every size of sample, for a kernel that was chosen without looking at the labels.
A kernel that was chosen on the same data is another matter: choose it on a half, as `held_out_two_sample_test` does.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import BLOCK_SIZE, map_blocks, paired, row_sums
from genjax_models.estimators.kernels import (
    PRECISION,
    Kernel,
    as_points,
    check_points,
    check_size,
    features_of,
    gaussian_kernel,
    median_bandwidth,
)
from genjax_models.types import Array, PRNGKey, Tracer

CANDIDATES = tuple(2.0**i for i in range(-4, 5))  # times the median distance


class TwoSampleTest(NamedTuple):
    """`p_value`, `mmd_squared` (unbiased) as observed, and after each relabelling, `null` `[num_permutations]`."""

    p_value: Array
    mmd_squared: Array
    null: Array


class HeldOutTwoSampleTest(NamedTuple):
    """The `test` on one half of the data, with a Gaussian kernel of the `bandwidth` that the other half chose."""

    test: TwoSampleTest
    bandwidth: Array


def two_sample_test(
    key: PRNGKey,
    x: Array,
    y: Array,
    kernel: Kernel,
    *,
    num_permutations: int = 999,
    block_size: int | None = None,
) -> TwoSampleTest:
    """The permutation test of Gretton et al. (2012): one compiled call, in which the kernel sees each pair once.

    What is permuted is the labels of the rows of one Gram matrix, made `block_size` rows at a time: memory is
    O((block_size + num_permutations) (n + m)). It is compiled again for another kernel object.

    Args:
      key: of the relabellings.
      x: `[n, ...]`, n at least 2.
      y: `[m, ...]`, m at least 2.
      kernel: `kernel(x, y) -> [n, m]`, chosen without a look at which sample a point is of.
      num_permutations: B; the smallest p-value is 1 / (1 + B).
      block_size: rows of the Gram matrix at a time, 512 by default.

    Raises:
      ValueError: fewer than 2 points in a sample, different features, values that are not finite (looked at where they
        are on hand), or a `num_permutations` or `block_size` below 1.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_size("num_permutations", num_permutations)
    check_points(x, y, at_least=2)
    return _test(key, as_points(x), as_points(y), kernel, num_permutations, block_size)


def power_optimal_bandwidth(
    x: Array, y: Array, bandwidths: Array | None = None, *, block_size: int | None = None
) -> Array:
    """The Gaussian bandwidth, of those given, whose test tells the samples apart best: Sutherland et al. (2017).

    For large samples the power grows with MMD^2 / sqrt(Var MMD^2_u), and that ratio is estimated for each bandwidth
    (the variance by its leading term). A test on the same data would reject too often.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      bandwidths: `[k]`, positive; by default 1/16, 1/8, ..., 16 times the median distance.
      block_size: rows at a time, 512 by default.

    Returns:
      A scalar, one of the bandwidths.

    Raises:
      ValueError: as `two_sample_test`; bandwidths that are not finite and positive; a median distance of 0.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_points(x, y, at_least=2)
    bandwidths = _candidates(x, y, bandwidths)
    return _best(as_points(x), as_points(y), bandwidths, block_size)


def held_out_two_sample_test(
    key: PRNGKey,
    x: Array,
    y: Array,
    bandwidths: Array | None = None,
    *,
    num_permutations: int = 999,
    block_size: int | None = None,
) -> HeldOutTwoSampleTest:
    """`two_sample_test` on a random half of each sample, with the `power_optimal_bandwidth` of the other halves.

    Arguments and errors are theirs, but each sample must have at least 4 points.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_size("num_permutations", num_permutations)
    check_points(x, y, at_least=4)
    bandwidths = _candidates(x, y, bandwidths)  # of the pooled sample: no look at the labels
    return _held_out_test(key, as_points(x), as_points(y), bandwidths, num_permutations, block_size)


def mmd_squared_and_variance(
    x: Array, y: Array, kernel: Kernel, *, block_size: int = BLOCK_SIZE
) -> tuple[Array, Array]:
    """The squared unbiased MMD and an estimate of its variance, both scalars.

    The variance is 4/n Var_x[E k(x, x') - E k(x, y)] + 4/m Var_y[E k(y, y') - E k(x, y)], its terms of order 1/n, with
    sample means for expectations. What it leaves out is O(1/n^2), and all that there is where P = Q.
    """

    kernel, x, y = features_of(kernel, x, y)

    def of(z, other):
        """Of each point of z: its mean kernel with the others of z, and with `other`."""
        own = (row_sums(kernel, z, z, block_size) - paired(kernel, z, z)) / (len(z) - 1)
        return own, row_sums(kernel, z, other, block_size) / len(other)

    (xx, xy), (yy, yx) = of(x, y), of(y, x)
    mmd_squared = jnp.mean(xx) + jnp.mean(yy) - 2 * jnp.mean(xy)
    variance = 4 * jnp.var(xx - xy, ddof=1) / len(x) + 4 * jnp.var(yy - yx, ddof=1) / len(y)
    return mmd_squared, variance


def _permutation_test(key, x, y, kernel, num_permutations, block_size):
    kernel, x, y = features_of(kernel, x, y)
    n, m = len(x), len(y)
    z = jnp.concatenate([x, y])
    observed = jnp.arange(n + m) < n
    shuffled = jax.vmap(lambda key: jax.random.permutation(key, observed))(jax.random.split(key, num_permutations))
    of_x = jnp.concatenate([observed[None], shuffled]).astype(z.dtype)  # [1 + B, n + m]: ones where a point is called x
    columns = jnp.concatenate([of_x, jnp.ones((1, n + m), z.dtype)]).T  # and all ones, for the sums of rows

    def sums_of(rows):
        index, points = rows
        gram = jnp.where(index[:, None] == jnp.arange(n + m), 0, kernel(points, z))
        return jnp.matmul(gram, columns, precision=PRECISION)

    sums = map_blocks(sums_of, (jnp.arange(n + m), z), block_size)  # [n + m, 2 + B]
    with_x, with_all = sums[:, :-1], sums[:, -1]
    xx = jnp.sum(of_x.T * with_x, axis=0)
    x_all = jnp.matmul(of_x, with_all, precision=PRECISION)
    xy, total = x_all - xx, jnp.sum(with_all)
    yy = total - xx - 2 * xy
    mmd_squared = xx / (n * (n - 1.0)) + yy / (m * (m - 1.0)) - 2 * xy / (float(n) * m)
    # Relabellings that are the same but for rounding must count as ties.
    rounding = 1e-6 * jnp.abs(total) / ((n + m) * (n + m - 1.0))
    count = jnp.sum(mmd_squared[1:] >= mmd_squared[0] - rounding)
    return TwoSampleTest((1 + count) / (1 + num_permutations), mmd_squared[0], mmd_squared[1:])


def _best_bandwidth(x, y, bandwidths, block_size):
    def power(bandwidth):
        mmd_squared, variance = mmd_squared_and_variance(x, y, gaussian_kernel(bandwidth), block_size=block_size)
        return mmd_squared / jnp.sqrt(jnp.maximum(variance, 1e-8))  # of next to no variance, little is known

    return bandwidths[jnp.argmax(jax.lax.map(power, bandwidths))]


def _held_out(key, x, y, bandwidths, num_permutations, block_size):
    x_key, y_key, test_key = jax.random.split(key, 3)
    x, y = jax.random.permutation(x_key, x), jax.random.permutation(y_key, y)
    bandwidth = _best_bandwidth(x[: len(x) // 2], y[: len(y) // 2], bandwidths, block_size)
    x, y, kernel = x[len(x) // 2 :], y[len(y) // 2 :], gaussian_kernel(bandwidth)
    return HeldOutTwoSampleTest(_permutation_test(test_key, x, y, kernel, num_permutations, block_size), bandwidth)


_test = partial(jax.jit, static_argnums=(3, 4, 5))(_permutation_test)
_best = partial(jax.jit, static_argnums=3)(_best_bandwidth)
_held_out_test = partial(jax.jit, static_argnums=(4, 5))(_held_out)


def _candidates(x: Array, y: Array, bandwidths: Array | None) -> Array:
    if bandwidths is None:
        return median_bandwidth(x, y) * jnp.asarray(CANDIDATES)
    if not isinstance(bandwidths, Tracer):
        gaussian_kernel(np.ravel(bandwidths))  # refuses what is no bandwidth
    return jnp.ravel(jnp.asarray(bandwidths, jnp.float32))
