"""Moments of samples, Eq. (20.82), and the loss of a generator that is trained to match them.

Moment j of points in d dimensions is the tensor E[x (x) ... (x) x] of d^j numbers. The MMD of a polynomial kernel
compares all moments up to the degree of the kernel, without computing the tensors:

    (scale x.y + offset)^p = sum_j C(p, j) offset^(p - j) scale^j <x (x) ... (x) x, y (x) ... (x) y>,

so `mmd_squared_biased` is exactly `moment_difference` with the weights `polynomial_weights`. Neither sees a moment
above the order: a standard normal and a coin of +-1 have the same first three moments.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from genjax_models.estimators.kernels import PRECISION, as_points, check_points, check_size
from genjax_models.types import Array


def raw_moments(x: Array, order: int) -> tuple[Array, ...]:
    """Returns E[x], E[x x'], ..., of points x `[n, ...]` of d features: moment j is `[d] * j`, for j up to `order`.

    Raises:
      ValueError: `order` is no integer of at least 1, or x is not points or not finite (tracers are not checked).
    """
    x = _checked(x, order)
    return tuple(_moment(x, j) for j in range(1, order + 1))


def central_moments(x: Array, order: int) -> tuple[Array, ...]:
    """Returns the mean `[d]`, the covariance E[(x - mean) (x - mean)'] (divided by n), and so on up to `order`.

    Arguments and errors are the same as in `raw_moments`.
    """
    x = _checked(x, order)
    mean = jnp.mean(x, axis=0)
    return (mean, *(_moment(x - mean, j) for j in range(2, order + 1)))


def moment_difference(
    x: Array, y: Array, order: int, *, central: bool = False, weights: Sequence[float] | None = None
) -> Array:
    """Returns sum_j weights_j |M_j(x) - M_j(y)|^2 over the moments j = 1 ... `order`, a scalar to minimise.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      order: order of the last moment, at least 1.
      central: whether moments from the second on are taken about the mean of their own sample.
      weights: one weight per moment; ones by default.

    Raises:
      ValueError: as in `raw_moments`; the samples have different features; or there are not `order` weights.
    """
    check_points(x, y)
    check_size("order", order)
    weights = [1.0] * order if weights is None else weights
    if len(weights) != order:
        raise ValueError(f"weights must be {order} numbers, one per moment, got {len(weights)}")
    moments = central_moments if central else raw_moments
    pairs = zip(weights, moments(x, order), moments(y, order), strict=True)
    return sum(weight * jnp.sum((moment_x - moment_y) ** 2) for weight, moment_x, moment_y in pairs)


def polynomial_weights(degree: int, scale: float = 1.0, offset: float = 1.0) -> tuple[float, ...]:
    """Returns C(degree, j) offset^(degree - j) scale^j for j = 1 ... degree.

    These are the weights of the moments in `polynomial_kernel`.
    """
    check_size("degree", degree)
    return tuple(math.comb(degree, j) * offset ** (degree - j) * scale**j for j in range(1, degree + 1))


def _moment(x: Array, order: int) -> Array:
    """Returns 1/n sum_i x_i (x) ... (x) x_i: one matrix product computes the last factor and the mean."""
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
