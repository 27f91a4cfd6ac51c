"""A linear map of the features of each pixel, whose derivative in the kernel is equally fast on the CPU.

    y  = x k            the rows of x are the pixels of all images
    dx = dy k^T
    dk = x^T dy         a sum over all pixels

XLA:CPU transposes all pixels for dk. oneDNN does not (`networks.onednn`).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.networks import onednn
from genjax_models.networks.shapes import as_rows
from genjax_models.types import Array

Pair = tuple[Array, Array]


def pointwise(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """Returns x `[..., in]` times the kernel `[in, out]`. Only reverse-mode derivatives exist, of any order.

    Further arguments are ignored, so that it can be the `dot_general` of Flax's `Dense`.
    """
    dtype = jnp.result_type(x, kernel)
    return _product(as_rows(x).astype(dtype), kernel.astype(dtype)).reshape(*x.shape[:-1], -1)


@jax.custom_vjp
def _product(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _product_forward(x: Array, kernel: Array) -> tuple[Array, Pair]:
    return _product(x, kernel), (x, kernel)


def _product_backward(saved: Pair, dy: Array) -> Pair:
    x, kernel = saved
    return dy @ kernel.T, _sum_of_products(x, dy)


_product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def _sum_of_products(x: Array, y: Array) -> Array:
    """Returns x^T y."""
    return _by_onednn(x, y)


def _sum_forward(x: Array, y: Array) -> tuple[Array, Pair]:
    return _sum_of_products(x, y), (x, y)


def _sum_backward(saved: Pair, cotangent: Array) -> Pair:
    x, y = saved
    return y @ cotangent.T, x @ cotangent


_sum_of_products.defvjp(_sum_forward, _sum_backward)


@jax.custom_batching.custom_vmap
def _by_onednn(x: Array, y: Array) -> Array:
    return onednn.product(x, y)


@_by_onednn.def_vmap
def _vmapped(size: int, mapped: Sequence[bool], *arrays: Array) -> tuple[Array, bool]:
    """Many seeds in one program: XLA's product."""
    x, y = (
        a if is_mapped else jnp.broadcast_to(a, (size, *a.shape)) for a, is_mapped in zip(arrays, mapped, strict=True)
    )
    return x.swapaxes(1, 2) @ y, True
