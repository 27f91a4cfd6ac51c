"""The squared maximum mean discrepancy of two samples (Gretton et al., 2012).

    MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)         x, x' ~ P and y, y' ~ Q, independent

is the squared distance of the means of P and Q in the kernel's feature space: zero for P = Q, and for no other pair
where the kernel is characteristic (as Gaussian, Laplace and rational quadratic ones are).

==================== ============================================= ============== ==================
estimator            E - MMD^2                                     time           may be negative
==================== ============================================= ============== ==================
mmd_squared_biased   (E k(x, x) - E k(x, x')) / n + that of y / m  (n + m)^2      never
mmd_squared_unbiased 0                                             (n + m)^2      yes
mmd_squared_linear   0, with a larger variance                     n              yes
==================== ============================================= ============== ==================

Values and gradients are made in blocks of `block_size` points by as many: memory is linear in n + m, the time that of
the products of matrices, and the blocks change nothing but rounding. By default a block has at most 512 points.
Gradients are of reverse mode alone, as `gram_sums` explains.

All of this is of the samples as a whole: a mean over shards of a batch is another estimator, further from MMD^2.
Points are `[n, ...]`; a kernel on features is handed their features, computed once.
"""

import jax.numpy as jnp

from genjax_models.estimators.gram_sums import BLOCK_SIZE, paired, row_sums, sum_between, sum_within
from genjax_models.estimators.kernels import (
    Kernel,
    check_points,
    check_size,
    features_of,
    safe_sqrt,
)
from genjax_models.types import Array

__all__ = ["mmd_squared_biased", "mmd_squared_linear", "mmd_squared_unbiased", "safe_sqrt", "witness_function"]


def mmd_squared_biased(x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """1/n^2 sum_ij k(x_i, x_j) + 1/m^2 sum_ij k(y_i, y_j) - 2/(n m) sum_ij k(x_i, y_j), a scalar.

    The MMD^2 of the two empirical distributions, and so never negative (but for rounding).

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      kernel: `kernel(x, y) -> [n, m]`, symmetric.
      block_size: how many points are compared with as many at a time.

    Raises:
      ValueError: samples of different features, or with values that are not finite (looked at where they are on hand);
        a `block_size` below 1.
    """
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=1)

    def within(z):
        return (sum_within(kernel, z, block_size) + jnp.sum(paired(kernel, z, z))) / float(len(z)) ** 2

    return within(x) + within(y) - 2 * _mean_between(kernel, x, y, block_size)


def mmd_squared_unbiased(x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """`mmd_squared_biased` without the pairs of a point with itself: a U-statistic, whose expectation is MMD^2.

    Lemma 6 of Gretton et al. (2012). It is negative about as often as not where P = Q: take no root of it.

    Raises:
      ValueError: fewer than 2 points in a sample, and as `mmd_squared_biased`.
    """
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=2)

    def within(z):
        return sum_within(kernel, z, block_size) / (float(len(z)) * (len(z) - 1))

    return within(x) + within(y) - 2 * _mean_between(kernel, x, y, block_size)


def mmd_squared_linear(x: Array, y: Array, kernel: Kernel) -> Array:
    """The mean of h_i = k(x, x') + k(y, y') - k(x, y') - k(x', y) over pairs of neighbours, a scalar.

    (x, x') and (y, y') are rows 2i and 2i + 1; of an odd number of rows the last is not used. Unbiased, in O(n) time,
    with the variance 2/n Var(h) of an average of independent numbers: Lemma 14 of Gretton et al. (2012).

    Raises:
      ValueError: samples of different sizes, fewer than 2 points, and as `mmd_squared_biased`.
    """
    x, y, kernel, _ = _prepared(x, y, kernel, None, at_least=2)
    if len(x) != len(y):
        raise ValueError(f"the linear MMD pairs x and y, which must have the same size, got {len(x)} and {len(y)}")
    pairs = len(x) // 2 * 2
    x, x_, y, y_ = x[:pairs:2], x[1:pairs:2], y[:pairs:2], y[1:pairs:2]
    h = paired(kernel, x, x_) + paired(kernel, y, y_) - paired(kernel, x, y_) - paired(kernel, x_, y)
    return jnp.mean(h)


def witness_function(points: Array, x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """f(t) = 1/n sum_i k(x_i, t) - 1/m sum_j k(y_j, t), `[k]`, at points t `[k, ...]`.

    The direction of the feature space in which the samples differ: positive where x has more mass than y, negative
    where it has less. Its mean over x minus its mean over y is `mmd_squared_biased`.

    Raises:
      ValueError: as `mmd_squared_biased`.
    """
    check_points(points, x)
    _, t = features_of(kernel, points)
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=1)
    return row_sums(kernel, t, x, block_size) / len(x) - row_sums(kernel, t, y, block_size) / len(y)


def _mean_between(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    return sum_between(kernel, x, y, block_size) / (float(len(x)) * len(y))


def _prepared(
    x: Array, y: Array, kernel: Kernel, block_size: int | None, *, at_least: int
) -> tuple[Array, Array, Kernel, int]:
    """Samples and block size, checked; a kernel on features becomes one of the features."""
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_points(x, y, at_least=at_least)
    kernel, x, y = features_of(kernel, x, y)
    return x, y, kernel, block_size
