"""Windows of attention: a grid of Gaussian filters that reads a patch from an image, or writes a patch into one.

Gregor, Danihelka, Graves, Rezende and Wierstra, 2015, Eq. (19) to (29). Filter i = 1..N of a row of pixels a = 1..A is

    F[i, a] = exp(-(a - mu_i)^2 / (2 v)) / sum_b exp(-(b - mu_i)^2 / (2 v)),        mu_i = g + (i - N/2 - 1/2) d,

with the centre g, the stride d and the variance v in pixels. A filter off the canvas reads the nearest edge: as
printed, it would divide 0 by 0. Squared distances are relative to the nearest pixel n:
(a - mu)^2 - (n - mu)^2 = (a - n) (a + n - 2 mu). A softmax is not enough: its exponents reach 1e13, and compiled code
may round an exponent and their maximum differently, which gives infinity.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from genjax_models.estimators.checks import check_count
from genjax_models.types import Array

_LARGEST_LOG = 10.0  # of variance, stride and gamma; exp overflows in value or gradient without a limit
_FARTHEST = 3.0  # relative centre: the canvas is [-1, 1], so that this is one canvas off


class Window(NamedTuple):
    """A window of `size` x `size` filters, with leading axes `[...]`."""

    rows: Array  # F_Y, [..., size, height]
    columns: Array  # F_X, [..., size, width]
    log_gamma: Array  # log intensity, [...]


class Place(NamedTuple):
    """Where windows lie on the canvas, `[...]` in pixels; the first pixel is at 1."""

    across: Array  # centre g_x
    down: Array  # centre g_y
    side: Array  # from the first filter to the last, (N - 1) d
    variance: Array  # of a filter, in squared pixels
    log_gamma: Array


def filterbank(centre: Array, stride: Array, variance: Array, *, size: int, pixels: int) -> Array:
    """Returns F `[..., size, pixels]`, Eq. (19) to (26); each filter sums to one.

    Args:
      centre: g, `[...]`, in pixels; the first pixel is at 1.
      stride: d, `[...]`, in pixels.
      variance: v > 0, `[...]`, in squared pixels.
      size: N, the number of filters.
      pixels: A, the number of pixels.
    """
    offsets = jnp.arange(1, size + 1) - size / 2 - 0.5
    with jax.numpy_rank_promotion("allow"):
        means = centre[..., None] + stride[..., None] * offsets
        nearest = jax.lax.stop_gradient(jnp.clip(jnp.round(means), 1, pixels))[..., None]
        each = jnp.arange(1, pixels + 1)
        beyond = (each - nearest) * (each + nearest - 2 * means[..., None])
        weights = jnp.exp(-beyond / (2 * variance[..., None, None]))
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def attention_window(parameters: Array, *, size: int, height: int, width: int) -> Window:
    """Returns the window of the five numbers that a network emits, Eq. (21) to (24).

    Value and gradient are finite for every finite parameter: logs are clipped to [-10, 10] and relative centres to
    [-3, 3], at most one canvas off. A clipped parameter has no gradient. Variance and stride are
    exp of clipped logs, not a softplus with a floor: the paper's parameters are logs.

    Args:
      parameters: relative centres g~_x and g~_y, log v, log d~ and log gamma, `[..., 5]`. The canvas is [-1, 1]. With
        d~ = 1 the filters span the longer side.
      size: N, filters per side, from 2 to the shorter side.
      height: pixels of a column.
      width: pixels of a row.

    Raises:
      AssertionError: `parameters` are not `[..., 5]`.
      ValueError: `size` is no integer from 2 to the shorter side.
    """
    check_count("size", size, at_least=2)
    if size > min(height, width):
        raise ValueError(f"size must be at most {min(height, width)} for images of {height} x {width}, got {size}")
    place = place_of(parameters, height=height, width=width)
    rows, columns = (
        filterbank(centre, place.side / (size - 1), place.variance, size=size, pixels=pixels)
        for centre, pixels in ((place.down, height), (place.across, width))
    )
    return Window(rows, columns, place.log_gamma)


def place_of(parameters: Array, *, height: int, width: int) -> Place:
    """Returns where the windows of parameters `[..., 5]` lie; the arguments are as in `attention_window`."""
    chex.assert_axis_dimension(parameters, -1, 5)
    across, down = (jnp.clip(parameters[..., i], -_FARTHEST, _FARTHEST) for i in range(2))
    log_variance, log_side, log_gamma = (jnp.clip(parameters[..., i], -_LARGEST_LOG, _LARGEST_LOG) for i in (2, 3, 4))
    side = (max(height, width) - 1) * jnp.exp(log_side)
    across, down = (width + 1) / 2 * (across + 1), (height + 1) / 2 * (down + 1)
    return Place(across, down, side, jnp.exp(log_variance), log_gamma)


def read(window: Window, image: Array) -> Array:
    """Returns the patch gamma F_Y x F_X' of images `[..., height, width]`, `[..., size, size]`, Eq. (27)."""
    rows = jnp.einsum("...ih,...hw->...iw", window.rows, image)
    patch = jnp.einsum("...iw,...jw->...ij", rows, window.columns)
    return jnp.exp(window.log_gamma)[..., None, None] * patch


def write(window: Window, patch: Array) -> Array:
    """Returns the image F_Y' w F_X / gamma of patches `[..., size, size]`, `[..., height, width]`, Eq. (29).

    The leading axes of window and patch are the same. There is no `jax.jvp`, only `jax.vjp` and `jax.grad`.
    """
    image = _product(_transposed(window.rows), _product(patch, window.columns))
    return jnp.exp(-window.log_gamma)[..., None, None] * image


@jax.custom_vjp
def _product(a: Array, b: Array) -> Array:
    """Returns a b of matrices `[..., m, k]` and `[..., k, n]` with the same leading axes.

    On a CPU, XLA multiplies batches of small matrices about twice as fast if it sums over the last axis of the first
    factor. So do the value and both derivatives here.
    """
    return a @ b


def _product_backward(factors: tuple[Array, Array], of_product: Array) -> tuple[Array, Array]:
    a, b = factors
    return jnp.einsum("...mn,...kn->...mk", of_product, b), _transposed(a) @ of_product


_product.defvjp(lambda a, b: (a @ b, (a, b)), _product_backward)


def _transposed(a: Array) -> Array:
    """Returns matrices whose last two axes are swapped, as a copy: XLA would sum over rows of `a` instead."""
    return jax.lax.optimization_barrier(jnp.swapaxes(a, -1, -2))
