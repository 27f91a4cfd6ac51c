"""Explicit moments of samples, and what a generator trained to match them sees (20.82).

Moment j of points in d dimensions is the tensor E[x (x) ... (x) x] of d^j numbers. Matching those up to an order is
what the MMD of a polynomial kernel of that degree does, without writing the tensors down:

    (scale x.y + offset)^p = sum_j C(p, j) offset^(p - j) scale^j <x (x) ... (x) x, y (x) ... (x) y>,

so that `mmd_squared_biased` is `moment_difference` with the weights `polynomial_weights`, exactly. Neither sees a
moment above the order: a standard normal and a coin of +-1 have the same first three.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from genjax_models.estimators.kernels import PRECISION, as_points, check_points, check_size
from genjax_models.types import Array


def raw_moments(x: Array, order: int) -> tuple[Array, ...]:
    """E[x], E[x x'], ..., of points x `[n, ...]` of d features: moment j is `[d] * j`, for j up to `order`.

    Raises:
      ValueError: an order that is no integer of at least 1; x that is not finite points, looked at where it is on hand.
    """
    x = _checked(x, order)
    return tuple(_moment(x, j) for j in range(1, order + 1))


def central_moments(x: Array, order: int) -> tuple[Array, ...]:
    """The mean `[d]`, then E[(x - mean) (x - mean)'] (the covariance, over n) and so on; arguments as `raw_moments`."""
    x = _checked(x, order)
    mean = jnp.mean(x, axis=0)
    return (mean, *(_moment(x - mean, j) for j in range(2, order + 1)))


def moment_difference(
    x: Array, y: Array, order: int, *, central: bool = False, weights: Sequence[float] | None = None
) -> Array:
    """sum_j weights_j |M_j(x) - M_j(y)|^2 over the moments j = 1 ... `order`, a scalar to minimise.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      order: of the last moment, at least 1.
      central: whether moments from the second on are about each sample's own mean.
      weights: one for each moment; ones by default.

    Raises:
      ValueError: as `raw_moments`; samples of different features, or other than `order` weights.
    """
    check_points(x, y)
    check_size("order", order)
    weights = [1.0] * order if weights is None else weights
    if len(weights) != order:
        raise ValueError(f"weights must be one for each of {order} moments, got {len(weights)}")
    moments = central_moments if central else raw_moments
    pairs = zip(weights, moments(x, order), moments(y, order), strict=True)
    return sum(weight * jnp.sum((of_x - of_y) ** 2) for weight, of_x, of_y in pairs)


def polynomial_weights(degree: int, scale: float = 1.0, offset: float = 1.0) -> tuple[float, ...]:
    """C(degree, j) offset^(degree - j) scale^j for j = 1 ... degree: the moments' shares in `polynomial_kernel`."""
    check_size("degree", degree)
    return tuple(math.comb(degree, j) * offset ** (degree - j) * scale**j for j in range(1, degree + 1))


def _moment(x: Array, order: int) -> Array:
    """1/n sum_i x_i (x) ... (x) x_i: the last factor and the mean are one product of matrices."""
    n, d = x.shape
    powers = jnp.ones((n, 1), x.dtype)
    for _ in range(order - 1):
        powers = (powers[:, :, None] * x[:, None, :]).reshape(n, -1)
    return (jnp.matmul(powers.T, x, precision=PRECISION) / n).reshape((d,) * order)


def _checked(x: Array, order: int) -> Array:
    check_size("order", order)
    check_points(x, x)
    x = as_points(x)
    return x.reshape(len(x), -1)
