"""Kernels: symmetric, positive definite functions `kernel(x, y) -> [n, m]` of points x `[n, ...]` and y `[m, ...]`.

`mmd_squared_biased` and the other estimators accept any such function. The kernels of this module depend on the
Euclidean distance or on the inner product of two points, with flattened features. If a sum has several kernels of one
distance, compiled code computes the distances once.

The parameters of a kernel, such as a bandwidth, are checked if their values are known. Tracers are accepted unchecked:
a bandwidth can be learned or vmapped.
"""

import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.types import Array, Tracer

Kernel = Callable[[Array, Array], Array]
Positive = float | Array | Sequence[float | Array]  # one number, or several

PRECISION = jax.lax.Precision.HIGHEST  # the default of some accelerators keeps 10 bits: too few for differences
_MAX_POWER = 16  # of one exponential: squaring doubles the relative error, which stays below about 1e-6


@dataclass(frozen=True, eq=False)
class KernelOfDistance:
    """The kernel k(x, y) = sum_r exp(-r u(|x - y|^2)).

    `terms` maps squared distances to pairs (u, rates r): u is 0 at a distance of 0, and grows.
    """

    terms: Callable[[Array], list[tuple[Array, Sequence[float | Array]]]]

    def __call__(self, x: Array, y: Array) -> Array:
        """Returns k(x, y), `[n, m]`."""
        return sum(_sum_of_exponentials(u, rates) for u, rates in self.terms(squared_distances(x, y)))


def gaussian_kernel(bandwidth: Positive) -> Kernel:
    """Returns k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)); for several bandwidths, the *sum* of their kernels.

    If each bandwidth is twice the next smaller one, three share one exponential and its squarings; if it is sqrt(2)
    times the next smaller one, five do.

    Raises:
      ValueError: a bandwidth is not finite and positive, or there is none.
    """
    rates = [1 / (2 * b**2) for b in _positive("bandwidth", bandwidth)]
    return KernelOfDistance(lambda d2: [(d2, rates)])


def laplace_kernel(bandwidth: Positive) -> Kernel:
    """Returns k(x, y) = exp(-|x - y| / bandwidth); for several bandwidths, the sum of their kernels.

    |x - y| is the Euclidean distance. At x = y the kernel has a corner: its gradient is zero there. In float32 the
    distance of equal points may come out as sqrt(1.2e-7) times their distance from the centre.

    Raises:
      ValueError: a bandwidth is not finite and positive, or there is none.
    """
    rates = [1 / b for b in _positive("bandwidth", bandwidth)]
    return KernelOfDistance(lambda d2: [(safe_sqrt(d2), rates)])


def rational_quadratic_kernel(bandwidth: Positive, alpha: float = 1.0) -> Kernel:
    """Returns k(x, y) = (1 + |x - y|^2 / (2 alpha bandwidth^2))^-alpha, summed over several bandwidths.

    This is a mixture of Gaussian kernels with random bandwidths. Its tails are heavy, so far points have larger
    gradients. Bińkowski et al. (2018) sum the kernels of bandwidth 1 and alpha 0.2, 0.5, 1, 2 and 5.

    Raises:
      ValueError: a bandwidth or `alpha` is not finite and positive, or there is no bandwidth.
    """
    bandwidths = _positive("bandwidth", bandwidth)
    (alpha,) = _positive("alpha", alpha)
    return KernelOfDistance(lambda d2: [(jnp.log1p(d2 * (1 / (2 * alpha * b**2))), [alpha]) for b in bandwidths])


@dataclass(frozen=True, eq=False)
class PolynomialKernel:
    """The kernel k(x, y) = (scale x.y + offset)^degree; see `polynomial_kernel`."""

    degree: int
    scale: float | Array
    offset: float | Array

    def inner(self, x: Array, y: Array) -> Array:
        """Returns scale x.y, `[n, m]`, of flat points."""
        return self.scale * jnp.matmul(x, y.T, precision=PRECISION)

    def __call__(self, x: Array, y: Array) -> Array:
        """Returns k(x, y), `[n, m]`."""
        return (self.inner(*flat_points(x, y)) + self.offset) ** self.degree


def polynomial_kernel(degree: int, scale: float = 1.0, offset: float = 1.0) -> Kernel:
    """Returns k(x, y) = (scale x.y + offset)^degree. Its MMD compares the moments up to `degree`, and no others.

    The kernel inception distance is the squared unbiased MMD with degree 3, scale 1 / dimensions and offset 1
    (Bińkowski et al., 2018).

    Raises:
      ValueError: `degree` is no integer of at least 1, `scale` is not finite and positive, or `offset` is negative or
        not finite.
    """
    if isinstance(degree, bool) or not isinstance(degree, numbers.Integral) or degree < 1:
        raise ValueError(f"degree must be an integer of at least 1, got {degree!r}")
    (scale,) = _positive("scale", scale)
    if not _traced(offset) and not (np.isfinite(offset) and offset >= 0):
        raise ValueError(f"offset must be finite and at least 0, got {offset!r}")
    return PolynomialKernel(int(degree), scale, offset)


@dataclass(frozen=True, eq=False)
class SumOfKernels:
    """The kernel k(x, y) = sum_i k_i(x, y)."""

    kernels: tuple[Kernel, ...]

    def __call__(self, x: Array, y: Array) -> Array:
        """Returns k(x, y), `[n, m]`."""
        return sum(kernel(x, y) for kernel in self.kernels)


def sum_of_kernels(*kernels: Kernel) -> Kernel:
    """Returns k(x, y) = sum_i k_i(x, y). Its squared MMD is the sum of their squared MMDs."""
    _check_not_empty(kernels)
    return SumOfKernels(kernels)


def product_of_kernels(*kernels: Kernel) -> Kernel:
    """Returns k(x, y) = prod_i k_i(x, y)."""
    _check_not_empty(kernels)

    def kernel(x: Array, y: Array) -> Array:
        product = kernels[0](x, y)
        for factor in kernels[1:]:
            product = product * factor(x, y)
        return product

    return kernel


class KernelOnFeatures(NamedTuple):
    """The kernel k(x, y) = kernel(features(x), features(y)).

    `features` maps `[n, ...]` to `[n, ...]`, each point independently of the others. The estimators of the MMD compute
    the features of each point once, even if the point is in many blocks.
    """

    kernel: Kernel
    features: Callable[[Array], Array]

    def __call__(self, x: Array, y: Array) -> Array:
        """Returns k(x, y), `[n, m]`."""
        return self.kernel(self.features(x), self.features(y))


def kernel_on_features(kernel: Kernel, features: Callable[[Array], Array]) -> Kernel:
    """Returns k(x, y) = kernel(features(x), features(y)): see `KernelOnFeatures`."""
    return KernelOnFeatures(kernel, features)


def squared_distances(x: Array, y: Array) -> Array:
    """Returns |x_i - y_j|^2, `[n, m]`, of points `[n, ...]` and `[m, ...]`: never negative, in O(n m) memory.

    Both sets are first centred on their common mean. In float32 the error is then about 1e-7 of the squared spread of
    the data, at any distance from the origin.

    Raises:
      ValueError: x and y have different features.
    """
    x, y = flat_points(x, y)
    return squared_distances_about((jnp.sum(x, axis=0) / len(x) + jnp.sum(y, axis=0) / len(y)) / 2, x, y)


def squared_distances_about(centre: Array, x: Array, y: Array) -> Array:
    """Returns `squared_distances` of flat points less the flat `centre` `[d]`: the error is 1e-7 of |x - centre|^2."""
    centre = jax.lax.stop_gradient(centre)  # distances do not depend on the centre, so it needs no gradient
    x, y = x - centre[None], y - centre[None]
    squares = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None]
    return jnp.maximum(squares - 2 * jnp.matmul(x, y.T, precision=PRECISION), 0)


def robust_centre(*samples: Array) -> Array:
    """Returns the median per feature of at most 32 points per flat sample, `[d]`. A diverged point hardly moves it."""
    return jax.lax.stop_gradient(jnp.median(jnp.concatenate([evenly(x, 32) for x in samples]), axis=0))


def evenly(x: Array, most: int) -> Array:
    """Returns at most `most` rows of x, evenly spaced in the given order."""
    return x[np.linspace(0, len(x) - 1, min(len(x), most)).astype(int)]


def median_bandwidth(x: Array, y: Array, *, max_points: int = 1_000) -> Array:
    """Returns a bandwidth: the median Euclidean distance of two points of the pooled sample (Gretton et al., 2012).

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      max_points: largest number of points per sample, evenly spaced in the given order. All pairs of them are compared.

    Returns:
      A positive scalar.

    Raises:
      ValueError: points are not finite or have different features, the median distance is 0 (more than half of the
        pairs are equal), or `max_points` is below 1. While tracing, values are not checked: the median may then be 0.
    """
    check_size("max_points", max_points)
    check_points(x, y)
    x, y = flat_points(as_points(x), as_points(y))
    z = jnp.concatenate([evenly(x, max_points), evenly(y, max_points)])
    squared = squared_distances_about(robust_centre(x, y), z, z)
    distances = jnp.sqrt(squared[np.triu_indices(len(z), 1)])
    if _traced(distances):
        return jnp.median(distances)
    median = jnp.asarray(np.median(np.asarray(distances)))  # jax would sort all distances
    if median == 0:
        raise ValueError(f"the median distance of {len(z)} points is 0: give a positive bandwidth")
    return median


def safe_sqrt(squared: Array) -> Array:
    """Returns sqrt(max(squared, 0)). If `squared` is not positive, the gradient is zero, not infinite or NaN."""
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def features_of(kernel: Kernel, *samples: Array) -> tuple[Kernel, *tuple[Array, ...]]:
    """Returns a kernel and the points that it compares.

    For a kernel on features, these are the inner kernel and the features, computed once.
    """
    if isinstance(kernel, KernelOnFeatures):
        return kernel.kernel, *(as_points(kernel.features(x)) for x in samples)
    return kernel, *(as_points(x) for x in samples)


def as_points(x: Array) -> Array:
    """Returns x as floating-point numbers of at least 32 bits."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def flat_points(x: Array, y: Array) -> tuple[Array, Array]:
    """Returns the flat features of two sets of points, `[n, d]` and `[m, d]`."""
    if jnp.shape(x)[1:] != jnp.shape(y)[1:]:
        raise ValueError(f"x and y must have the same features, got {jnp.shape(x)[1:]} and {jnp.shape(y)[1:]}")
    x, y = as_points(x), as_points(y)
    return x.reshape(len(x), -1), y.reshape(len(y), -1)


def check_points(x: Array, y: Array, *, at_least: int = 1) -> None:
    """Raises ValueError unless x and y are finite points `[n, ...]` of the same features, at least `at_least` each.

    The values of tracers are unknown and not checked.
    """
    for name, z in (("x", x), ("y", y)):
        if np.ndim(z) < 2:
            raise ValueError(f"{name} must be points [n, ...] of at least one axis of features, got {np.shape(z)}")
    if np.shape(x)[1:] != np.shape(y)[1:]:
        raise ValueError(f"x and y must have the same features, got {np.shape(x)[1:]} and {np.shape(y)[1:]}")
    for name, z in (("x", x), ("y", y)):
        if np.shape(z)[0] < at_least:
            raise ValueError(f"{name} must have at least {at_least} points, got {np.shape(z)[0]}")
        if not _traced(z):
            finite = np.isfinite(np.asarray(z))
            bad = np.flatnonzero(~finite.all(axis=tuple(range(1, finite.ndim))))
            if bad.size:
                raise ValueError(
                    f"{name} must be finite: {bad.size} of {len(z)} rows are not, the first is row {bad[0]}"
                )


def check_size(name: str, size: int) -> None:
    """Raises ValueError unless `size` is an integer of at least 1; True and 2.0 are refused."""
    if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {size!r}")


def _sum_of_exponentials(u: Array, rates: Sequence[float | Array]) -> Array:
    """Returns sum_r exp(-r u). If a rate is two or four times the last rate, the last exponential is squared."""
    if any(_traced(rate) for rate in rates):
        return sum(jnp.exp(-rate * u) for rate in rates)
    total = base = power = 0
    for previous, rate in zip([None, *sorted(rates)], sorted(rates), strict=False):
        ratio = next((r for r in (1, 2, 4) if previous and math.isclose(rate, r * previous, rel_tol=1e-7)), None)
        if ratio and rate <= 1.01 * _MAX_POWER * base:
            power = power**ratio
        else:
            base, power = rate, jnp.exp(-rate * u)
        total = total + power
    return total


def _positive(name: str, values: Any) -> list[float | Array]:
    """Returns `values` as a list of positive numbers: Python floats, or tracers."""
    values = list(values) if isinstance(values, Sequence) or np.ndim(values) else [values]
    if not values:
        raise ValueError(f"{name} must be a positive number, or several, got none")
    for value in values:
        if not _traced(value) and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and positive, got {value}")
    return [value if _traced(value) else float(value) for value in values]


def _check_not_empty(kernels: Sequence[Kernel]) -> None:
    if not kernels:
        raise ValueError("at least one kernel is needed, got none")


def _traced(value: object) -> bool:
    return isinstance(value, Tracer)
