"""Permutation test of the MMD: do two samples have the same distribution? And the bandwidth of highest power.

If they do, the n + m points are exchangeable. The squared unbiased MMD is then exchangeable with its values after B
random relabellings of the points. Let `count` be the number of these values that are at least the observed value. Then
p = (1 + count) / (1 + B) is uniform on 1/(1 + B), ..., 1 without ties, and P(p <= a) <= a with ties.

This is exact at every sample size, if the kernel was chosen without looking at the labels. A kernel chosen on the same
data makes the test invalid: choose it on one half, as `held_out_two_sample_test` does.

At wide bandwidths and far from the origin, MMD^2 and its null are small differences of sums of k. The test sums a
kernel of the same MMD whose values are small, `less_typical`, with weights 1/n and -1/m of the labels.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.gram_sums import BLOCK_SIZE, map_blocks, row_and_column_sums, row_sums_within
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
from genjax_models.estimators.small_differences import less_typical
from genjax_models.types import Array, PRNGKey, Tracer

CANDIDATES = tuple(2.0**i for i in range(-4, 5))  # multiples of the median distance


class TwoSampleTest(NamedTuple):
    """The result of a permutation test.

    `mmd_squared` is the observed unbiased MMD^2. `null` `[num_permutations]` holds its values after each relabelling.
    """

    p_value: Array
    mmd_squared: Array
    null: Array


class HeldOutTwoSampleTest(NamedTuple):
    """`test` on one half of the data, with a Gaussian kernel; the other half chose its `bandwidth`."""

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
    """Returns the permutation test of Gretton et al. (2012): one compiled call, which computes each pair once.

    The test permutes the labels of the rows of one Gram matrix, computed `block_size` rows at a time. Memory is
    O((block_size + num_permutations) (n + m)). Another kernel object compiles again.

    Args:
      key: randomness of the relabellings.
      x: `[n, ...]`, n at least 2.
      y: `[m, ...]`, m at least 2.
      kernel: `kernel(x, y) -> [n, m]`, chosen without looking at the labels.
      num_permutations: B; the smallest p-value is 1 / (1 + B).
      block_size: rows of the Gram matrix at a time, 512 by default.

    Raises:
      ValueError: a sample has fewer than 2 points or values that are not finite (tracers are not checked), the samples
        have different features, `num_permutations` or `block_size` is below 1, or the statistic or its null is not
        finite. While tracing, the p-value is then NaN.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_size("num_permutations", num_permutations)
    check_points(x, y, at_least=2)
    return _finite(_test(key, as_points(x), as_points(y), kernel, num_permutations, block_size))


def power_optimal_bandwidth(
    x: Array, y: Array, bandwidths: Array | None = None, *, block_size: int | None = None
) -> Array:
    """Returns the Gaussian bandwidth whose test separates the samples best (Sutherland et al., 2017).

    For large samples the power grows with MMD^2 / sqrt(Var MMD^2_u). This ratio is estimated for each bandwidth, with
    the leading term of the variance. A test on the same data would reject too often.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      bandwidths: candidates, `[k]`, positive; by default 1/16, 1/8, ..., 16 times the median distance.
      block_size: rows at a time, 512 by default.

    Returns:
      A scalar, one of the bandwidths.

    Raises:
      ValueError: as in `two_sample_test`; a bandwidth is not finite and positive; the median distance is 0; or an
        MMD^2 or its variance is not finite. While tracing, the result is then NaN.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_points(x, y, at_least=2)
    bandwidths = _candidates(x, y, bandwidths)
    best = _best(as_points(x), as_points(y), bandwidths, block_size)
    if not isinstance(best, Tracer) and not np.isfinite(best):
        raise ValueError("MMD^2 or its variance is not finite at some bandwidth: scale the samples to values around 1")
    return best


def held_out_two_sample_test(
    key: PRNGKey,
    x: Array,
    y: Array,
    bandwidths: Array | None = None,
    *,
    num_permutations: int = 999,
    block_size: int | None = None,
) -> HeldOutTwoSampleTest:
    """Returns `two_sample_test` on a random half of each sample, with the best bandwidth of the other halves.

    `power_optimal_bandwidth` chooses the bandwidth. Arguments and errors are the same as in both functions, but each
    sample must have at least 4 points.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_size("num_permutations", num_permutations)
    check_points(x, y, at_least=4)
    bandwidths = _candidates(x, y, bandwidths)  # from the pooled sample, without looking at the labels
    result = _held_out_test(key, as_points(x), as_points(y), bandwidths, num_permutations, block_size)
    return result._replace(test=_finite(result.test))


def mmd_squared_and_variance(
    x: Array, y: Array, kernel: Kernel, *, block_size: int = BLOCK_SIZE
) -> tuple[Array, Array]:
    """Returns the squared unbiased MMD and an estimate of its variance, both scalars.

    The variance is 4/n Var_x[E k(x, x') - E k(x, y)] + 4/m Var_y[E k(y, y') - E k(x, y)]: its terms of order 1/n, with
    sample means for expectations. Terms of O(1/n^2) are left out. If P = Q, only such terms remain.
    """
    own, between = _mean_kernels(x, y, kernel, block_size)
    return _mmd_squared(own, between), _variance(own, between)


def _mean_kernels(x, y, kernel, block_size):
    """Returns the mean kernel of each point with the others of its sample, and with the other sample, a pair each."""
    kernel, x, y = features_of(kernel, x, y)
    kernel = less_typical(kernel, x, y)

    own = (row_sums_within(kernel, z, block_size) / (len(z) - 1) for z in (x, y))
    of_x, of_y = row_and_column_sums(kernel, x, y, block_size)
    return tuple(own), (of_x / len(y), of_y / len(x))


def _mmd_squared(own, between):
    return jnp.mean(own[0]) + jnp.mean(own[1]) - 2 * jnp.mean(between[0])


def _variance(own, between):
    return sum(4 * jnp.var(a - b, ddof=1) / len(a) for a, b in zip(own, between, strict=True))


def _relabellings(key, count, n, points):
    """Returns `count` random subsets of n points, bool `[count, points]`: the points with the n least numbers.

    The n-th least number is the greatest one that fewer than n numbers are below, found bit by bit. This takes a third
    of the time of a sort.
    """
    numbers = jax.random.bits(key, (count, points))

    def with_bit(i, found):
        higher = found | jnp.uint32(1) << (31 - i).astype(jnp.uint32)
        return jnp.where(jnp.sum(numbers < higher, axis=1, keepdims=True) < n, higher, found)

    greatest = jax.lax.fori_loop(0, 32, with_bit, jnp.zeros((count, 1), jnp.uint32))
    less, ties = numbers < greatest, numbers == greatest
    return less | (ties & (jnp.cumsum(ties, axis=1) <= n - jnp.sum(less, axis=1, keepdims=True)))


def _permutation_test(key, x, y, kernel, num_permutations, block_size):
    kernel, x, y = features_of(kernel, x, y)
    kernel = less_typical(kernel, x, y)
    n, m = len(x), len(y)
    z = jnp.concatenate([x, y])
    observed = jnp.arange(n + m) < n
    relabelled = _relabellings(key, num_permutations, n, n + m)
    of_x = jnp.concatenate([observed[None], relabelled])  # [1 + B, n + m]: whether a point is labelled x
    # w is 1/n at points labelled x and -1/m at the others, so that w.K w is the biased MMD^2.
    w = jnp.where(of_x, 1 / n, -1 / m).astype(z.dtype).T  # [n + m, 1 + B]
    columns = jnp.concatenate([w, jnp.ones((n + m, 1), z.dtype)], axis=1)  # the last column sums rows

    def sums_of(rows):
        index, points = rows
        gram = jnp.where(index[:, None] == jnp.arange(n + m)[None], 0, kernel(points, z))
        return jnp.matmul(gram, columns, precision=PRECISION)

    sums = map_blocks(sums_of, (jnp.arange(n + m), z), block_size)  # [n + m, 2 + B]
    with_w, with_all = sums[:, :-1], sums[:, -1:]  # K w and K 1, without the diagonal of K
    with_x = (with_w + with_all / m) * (n * m / (n + m))
    xx = jnp.sum(jnp.where(of_x.T, with_x, 0), axis=0)
    yy = jnp.sum(jnp.where(of_x.T, 0, with_all - with_x), axis=0)
    # 1 / (n (n - 1)) = 1 / n^2 + 1 / (n^2 (n - 1)): the last terms turn w.K w into the unbiased MMD^2.
    mmd_squared = jnp.sum(w * with_w, axis=0) + xx / (n**2 * (n - 1.0)) + yy / (m**2 * (m - 1.0))
    # Relabellings that differ only by rounding must count as ties.
    mean = jnp.mean(jnp.abs(with_all)) / (n + m - 1)
    rounding = 1e-4 * jnp.std(mmd_squared) + 2e-7 * mean
    count = jnp.sum(mmd_squared[1:] >= mmd_squared[0] - rounding)
    # No comparison holds for NaN: without this line, its p-value would be the smallest one.
    p_value = jnp.where(jnp.isfinite(mmd_squared).all(), (1 + count) / (1 + num_permutations), jnp.nan)
    return TwoSampleTest(p_value, mmd_squared[0], mmd_squared[1:])


def _best_bandwidth(x, y, bandwidths, block_size):
    def power(bandwidth):
        own, between = _mean_kernels(x, y, gaussian_kernel(bandwidth), block_size)
        scale = jnp.mean(jnp.abs(jnp.concatenate([*own, *between])))
        least = 1e-8 * scale**2 + jnp.finfo(scale.dtype).tiny  # a variance near zero is unreliable
        return _mmd_squared(own, between) / jnp.sqrt(jnp.maximum(_variance(own, between), least))

    powers = jax.lax.map(power, bandwidths)
    return jnp.where(jnp.isfinite(powers).all(), bandwidths[jnp.argmax(powers)], jnp.nan)


def _held_out(key, x, y, bandwidths, num_permutations, block_size):
    x_key, y_key, test_key = jax.random.split(key, 3)
    x, y = jax.random.permutation(x_key, x), jax.random.permutation(y_key, y)
    bandwidth = _best_bandwidth(x[: len(x) // 2], y[: len(y) // 2], bandwidths, block_size)
    x, y, kernel = x[len(x) // 2 :], y[len(y) // 2 :], gaussian_kernel(bandwidth)
    return HeldOutTwoSampleTest(_permutation_test(test_key, x, y, kernel, num_permutations, block_size), bandwidth)


_test = partial(jax.jit, static_argnums=(3, 4, 5))(_permutation_test)
_best = partial(jax.jit, static_argnums=3)(_best_bandwidth)
_held_out_test = partial(jax.jit, static_argnums=(4, 5))(_held_out)


def _finite(test: TwoSampleTest) -> TwoSampleTest:
    """Returns the test. Raises ValueError if its statistic or null is not finite; tracers are not checked."""
    if not isinstance(test.p_value, Tracer) and not np.isfinite(test.p_value).all():
        bad = int(np.sum(~np.isfinite(test.null)))
        raise ValueError(
            f"MMD^2 and its null must be finite, got {float(test.mmd_squared)} and {bad} of {np.size(test.null)} values"
            " that are not: scale the samples to values around 1, or use another kernel"
        )
    return test


def _candidates(x: Array, y: Array, bandwidths: Array | None) -> Array:
    if bandwidths is None:
        return median_bandwidth(x, y) * jnp.asarray(CANDIDATES)
    if not isinstance(bandwidths, Tracer):
        gaussian_kernel(np.ravel(bandwidths))  # raises ValueError for an invalid bandwidth
    return jnp.ravel(jnp.asarray(bandwidths, jnp.float32))
