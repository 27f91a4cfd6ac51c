"""Kernels: functions `kernel(x, y) -> [n, m]` of points x `[n, ...]` and y `[m, ...]`, symmetric and positive definite.

Any function of that shape is a kernel to `mmd_squared_biased` and its neighbours; those here are functions of the
Euclidean distance or of the inner product of the points, whose features are flattened. Kernels of one distance
that are summed share its matrix: compiled code computes it once.

Numbers that a kernel is made of are checked where they are on hand; tracers, whose values are not, are welcome, so
that a bandwidth can be learned or vmapped.
"""

import math
import numbers
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.types import Array, Tracer

Kernel = Callable[[Array, Array], Array]
Positive = float | Array | Sequence[float | Array]  # a number, or several

PRECISION = jax.lax.Precision.HIGHEST  # the default of some accelerators keeps 10 bits: too few for a difference
_MAX_POWER = 16  # of one exponential: squaring doubles its relative error, and this leaves 1e-6


def gaussian_kernel(bandwidth: Positive) -> Kernel:
    """k(x, y) = exp(-|x - y|^2 / (2 bandwidth^2)); of several bandwidths, the *sum* of their kernels.

    Where each bandwidth is the double of another (or sqrt(2) times it), three share one exponential and squarings.

    Raises:
      ValueError: a bandwidth that is not finite and positive, or none.
    """
    bandwidths = _positive("bandwidth", bandwidth)

    def kernel(x: Array, y: Array) -> Array:
        return _sum_of_exponentials(squared_distances(x, y), [1 / (2 * b**2) for b in bandwidths])

    return kernel


def laplace_kernel(bandwidth: Positive) -> Kernel:
    """k(x, y) = exp(-|x - y| / bandwidth), of the Euclidean distance; of several bandwidths, the sum of their kernels.

    Its gradient at x = y, where it has a corner, is zero. Points that are equal may seem sqrt(1.2e-7) of their distance
    from the centre apart, in float32.

    Raises:
      ValueError: a bandwidth that is not finite and positive, or none.
    """
    bandwidths = _positive("bandwidth", bandwidth)

    def kernel(x: Array, y: Array) -> Array:
        return _sum_of_exponentials(safe_sqrt(squared_distances(x, y)), [1 / b for b in bandwidths])

    return kernel


def rational_quadratic_kernel(bandwidth: Positive, alpha: float = 1.0) -> Kernel:
    """k(x, y) = (1 + |x - y|^2 / (2 alpha bandwidth^2))^-alpha; of several bandwidths, the sum of their kernels.

    A Gaussian kernel whose bandwidth is drawn at random: its tails are heavy, and so are the gradients of far points.
    Bińkowski et al. (2018) sum those of bandwidth 1 and alpha 0.2, 0.5, 1, 2 and 5.

    Raises:
      ValueError: a bandwidth or an alpha that is not finite and positive.
    """
    bandwidths = _positive("bandwidth", bandwidth)
    (alpha,) = _positive("alpha", alpha)

    def kernel(x: Array, y: Array) -> Array:
        d2 = squared_distances(x, y)
        return sum(jnp.exp(-alpha * jnp.log1p(d2 * (1 / (2 * alpha * b**2)))) for b in bandwidths)

    return kernel


def polynomial_kernel(degree: int, scale: float = 1.0, offset: float = 1.0) -> Kernel:
    """k(x, y) = (scale x.y + offset)^degree: its MMD compares the moments up to `degree`, and sees no other.

    The kernel inception distance is the squared unbiased MMD of degree 3, scale 1 / dimensions, offset 1 (Bińkowski
    et al., 2018).

    Raises:
      ValueError: a degree that is no integer of at least 1, a scale that is not finite and positive, or an offset that
        is not finite or negative.
    """
    if isinstance(degree, bool) or not isinstance(degree, numbers.Integral) or degree < 1:
        raise ValueError(f"degree must be an integer of at least 1, got {degree!r}")
    (scale,) = _positive("scale", scale)
    if not _traced(offset) and not (np.isfinite(offset) and offset >= 0):
        raise ValueError(f"offset must be finite and at least 0, got {offset!r}")

    def kernel(x: Array, y: Array) -> Array:
        x, y = _features(x, y)
        return (scale * jnp.matmul(x, y.T, precision=PRECISION) + offset) ** int(degree)

    return kernel


def sum_of_kernels(*kernels: Kernel) -> Kernel:
    """k(x, y) = sum_i k_i(x, y); its squared MMD is the sum of theirs."""
    _some(kernels)
    return lambda x, y: sum(kernel(x, y) for kernel in kernels)


def product_of_kernels(*kernels: Kernel) -> Kernel:
    """k(x, y) = prod_i k_i(x, y)."""
    _some(kernels)

    def kernel(x: Array, y: Array) -> Array:
        product = kernels[0](x, y)
        for factor in kernels[1:]:
            product = product * factor(x, y)
        return product

    return kernel


class KernelOnFeatures(NamedTuple):
    """k(x, y) = kernel(features(x), features(y)), for features `[n, ...]` -> `[n, ...]` of each point alone.

    The MMD and its neighbours compute the features of each point once, however many blocks it is part of.
    """

    kernel: Kernel
    features: Callable[[Array], Array]

    def __call__(self, x: Array, y: Array) -> Array:
        """`[n, m]`."""
        return self.kernel(self.features(x), self.features(y))


def kernel_on_features(kernel: Kernel, features: Callable[[Array], Array]) -> Kernel:
    """k(x, y) = kernel(features(x), features(y)): see `KernelOnFeatures`."""
    return KernelOnFeatures(kernel, features)


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2, `[n, m]`, of points `[n, ...]` and `[m, ...]`: never negative, in O(n m) memory.

    Both sets are centred on their common mean first, and so the error is about 1e-7 of the squared spread of the data
    in float32, wherever they lie.

    Raises:
      ValueError: points of different features.
    """
    x, y = _features(x, y)
    centre = jax.lax.stop_gradient((jnp.sum(x, axis=0) / len(x) + jnp.sum(y, axis=0) / len(y)) / 2)
    x, y = x - centre, y - centre  # distances do not depend on it, and so their gradient does not
    squares = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)
    return jnp.maximum(squares - 2 * jnp.matmul(x, y.T, precision=PRECISION), 0)


def median_bandwidth(x: Array, y: Array, *, max_points: int = 1_000) -> Array:
    """The median Euclidean distance between two points of the pooled sample (Gretton et al., 2012): a bandwidth.

    Args:
      x: `[n, ...]`.
      y: `[m, ...]`.
      max_points: at most so many of each, evenly spaced in the order given, since all pairs are compared.

    Returns:
      A positive scalar.

    Raises:
      ValueError: points that are not finite, of different features, or of median distance 0 (more than half of the
        pairs are equal); `max_points` below 1. Values are not looked at while tracing: the median may then be 0.
    """
    check_size("max_points", max_points)
    check_points(x, y)
    some = [z[np.linspace(0, len(z) - 1, min(len(z), max_points)).astype(int)] for z in (as_points(x), as_points(y))]
    z = jnp.concatenate(some)
    median = jnp.median(jnp.sqrt(squared_distances(z, z)[np.triu_indices(len(z), 1)]))
    if not _traced(median) and median == 0:
        raise ValueError(f"the median distance of {len(z)} points is 0, and no bandwidth: give one that is positive")
    return median


def safe_sqrt(squared: Array) -> Array:
    """sqrt(max(squared, 0)), with the gradient zero where it is not positive (in place of infinite or NaN)."""
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1)), 0)


def features_of(kernel: Kernel, *samples: Array) -> tuple[Kernel, *tuple[Array, ...]]:
    """A kernel and what it is to compare: of a kernel on features the inner kernel and the features, computed once."""
    if isinstance(kernel, KernelOnFeatures):
        return kernel.kernel, *(as_points(kernel.features(x)) for x in samples)
    return kernel, *(as_points(x) for x in samples)


def as_points(x: Array) -> Array:
    """x as floating-point numbers of at least 32 bits."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def check_points(x: Array, y: Array, *, at_least: int = 1) -> None:
    """Raises ValueError unless x and y are `[n, ...]` of the same features, finite and `at_least` so many each.

    Values are looked at where they are on hand; tracers have none.
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
    """Raises ValueError unless `size` is an integer of at least 1; neither True nor 2.0 is one."""
    if isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {size!r}")


def _sum_of_exponentials(u: Array, rates: Sequence[float | Array]) -> Array:
    """sum_r exp(-r u); the exponential of twice or four times a rate is a power of that rate's."""
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


def _features(x: Array, y: Array) -> tuple[Array, Array]:
    """`[n, d]` and `[m, d]`."""
    if jnp.shape(x)[1:] != jnp.shape(y)[1:]:
        raise ValueError(f"x and y must have the same features, got {jnp.shape(x)[1:]} and {jnp.shape(y)[1:]}")
    x, y = as_points(x), as_points(y)
    return x.reshape(len(x), -1), y.reshape(len(y), -1)


def _positive(name: str, values: Any) -> list[float | Array]:
    """`values` as a list of positive numbers; those on hand are Python's."""
    values = list(values) if isinstance(values, Sequence) or np.ndim(values) else [values]
    if not values:
        raise ValueError(f"{name} must be a positive number, or several, got none")
    for value in values:
        if not _traced(value) and not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and positive, got {value}")
    return [value if _traced(value) else float(value) for value in values]


def _some(kernels: Sequence[Kernel]) -> None:
    if not kernels:
        raise ValueError("at least one kernel is needed, got none")


def _traced(value: object) -> bool:
    return isinstance(value, Tracer)
