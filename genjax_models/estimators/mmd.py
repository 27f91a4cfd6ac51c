"""The squared maximum mean discrepancy (MMD) of two samples (Gretton et al., 2012).

    MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)         x, x' ~ P and y, y' ~ Q, independent

MMD^2 is the squared distance between the means of P and Q in the feature space of the kernel. It is zero if P = Q; for
a characteristic kernel (Gaussian, Laplace, rational quadratic), only if P = Q.

==================== ========================== ============== ==================
estimator            bias                       time           may be negative
==================== ========================== ============== ==================
mmd_squared_biased   b(x) / n + b(y) / m        (n + m)^2      never
mmd_squared_unbiased 0                          (n + m)^2      yes
mmd_squared_linear   0, with a larger variance  n              yes
==================== ========================== ============== ==================

Here b(x) = E k(x, x) - E k(x, x'). Values and gradients are computed in blocks of `block_size` by `block_size` pairs,
at most 512 x 512 by default. Memory is linear in n + m, and the time is the time of the matrix products. The block size
changes only the rounding. Gradients are reverse-mode only, see `gram_sums`.

At wide bandwidths, MMD^2 is a small difference of sums of k. Sums of `less_constant` keep its digits, up to about 64
times the median distance. `two_sample_test` and `mmd_squared_and_variance` keep them at any bandwidth. They also keep
the digits of a polynomial kernel far from the origin.

The estimators need the whole samples: the mean over the shards of a batch is another estimator, further from MMD^2.
Points are `[n, ...]`. A kernel on features gets the features of the points, computed once.
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
from genjax_models.estimators.small_differences import less_constant
from genjax_models.types import Array

__all__ = ["mmd_squared_biased", "mmd_squared_linear", "mmd_squared_unbiased", "safe_sqrt", "witness_function"]


def mmd_squared_biased(x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """Returns 1/n^2 sum_ij k(x_i, x_j) + 1/m^2 sum_ij k(y_i, y_j) - 2/(n m) sum_ij k(x_i, y_j), a scalar.

    This is the MMD^2 of the two empirical distributions: never negative, up to rounding.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      kernel: `kernel(x, y) -> [n, m]`, symmetric.
      block_size: rows, and columns, of a block of the Gram matrix; 512 by default.

    Raises:
      ValueError: the samples have different features or values that are not finite (tracers are not checked), or
        `block_size` is no integer of at least 1.
    """
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=1)
    kernel = less_constant(kernel, x, y)

    def within(z):
        return (sum_within(kernel, z, block_size) + jnp.sum(paired(kernel, z, z))) / float(len(z)) ** 2

    return within(x) + within(y) - 2 * _mean_between(kernel, x, y, block_size)


def mmd_squared_unbiased(x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """Returns `mmd_squared_biased` without the pairs of a point with itself: a U-statistic of expectation MMD^2.

    This is Lemma 6 of Gretton et al. (2012). If P = Q, it is negative about half of the time: take no square root of
    it.

    Raises:
      ValueError: a sample has fewer than 2 points, and as in `mmd_squared_biased`.
    """
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=2)
    kernel = less_constant(kernel, x, y)

    def within(z):
        return sum_within(kernel, z, block_size) / (float(len(z)) * (len(z) - 1))

    return within(x) + within(y) - 2 * _mean_between(kernel, x, y, block_size)


def mmd_squared_linear(x: Array, y: Array, kernel: Kernel) -> Array:
    """Returns the mean of h_i = k(x, x') + k(y, y') - k(x, y') - k(x', y) over pairs of neighbours, a scalar.

    (x, x') and (y, y') are rows 2i and 2i + 1. If the number of rows is odd, the last row is not used. The estimate is
    unbiased and takes O(n) time. Its variance is 2/n Var(h), as for a mean of independent numbers: Lemma 14 of Gretton
    et al. (2012).

    Raises:
      ValueError: the samples have different sizes or fewer than 2 points, and as in `mmd_squared_biased`.
    """
    x, y, kernel, _ = _prepared(x, y, kernel, None, at_least=2)
    if len(x) != len(y):
        raise ValueError(f"the linear MMD pairs x and y: they must have the same size, got {len(x)} and {len(y)}")
    pairs = len(x) // 2 * 2
    x, x_, y, y_ = x[:pairs:2], x[1:pairs:2], y[:pairs:2], y[1:pairs:2]
    h = paired(kernel, x, x_) + paired(kernel, y, y_) - paired(kernel, x, y_) - paired(kernel, x_, y)
    return jnp.mean(h)


def witness_function(points: Array, x: Array, y: Array, kernel: Kernel, *, block_size: int | None = None) -> Array:
    """Returns f(t) = 1/n sum_i k(x_i, t) - 1/m sum_j k(y_j, t), `[k]`, at points t `[k, ...]`.

    f is the direction in feature space in which the samples differ: positive where x has more mass than y, negative
    where x has less. The mean of f over x minus the mean over y is `mmd_squared_biased`.

    Raises:
      ValueError: as in `mmd_squared_biased`.
    """
    check_points(points, x)
    _, t = features_of(kernel, points)
    x, y, kernel, block_size = _prepared(x, y, kernel, block_size, at_least=1)
    kernel, t = less_constant(kernel, x, y), t.astype(jnp.result_type(t, x))
    return row_sums(kernel, t, x, block_size) / len(x) - row_sums(kernel, t, y, block_size) / len(y)


def _mean_between(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    return sum_between(kernel, x, y, block_size) / (float(len(x)) * len(y))


def _prepared(
    x: Array, y: Array, kernel: Kernel, block_size: int | None, *, at_least: int
) -> tuple[Array, Array, Kernel, int]:
    """Returns checked samples, kernel and block size.

    For a kernel on features, these are the features and the inner kernel.
    """
    block_size = BLOCK_SIZE if block_size is None else block_size
    check_size("block_size", block_size)
    check_points(x, y, at_least=at_least)
    kernel, x, y = features_of(kernel, x, y)
    dtype = jnp.result_type(x, y)
    return x.astype(dtype), y.astype(dtype), kernel, block_size
