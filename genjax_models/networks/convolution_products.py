"""Forms of a convolution that are matrix products of copies of its image. XLA computes them fast on the CPU."""

from collections.abc import Sequence
from itertools import product

import jax
import jax.numpy as jnp

from genjax_models.networks import onednn
from genjax_models.networks.convolution_axes import Axes
from genjax_models.types import Array


def as_product(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without dilations as one matrix product: patches `[outputs, weights]` times the kernel.

    Blocks of stride x stride pixels become channels first, so that patches are copied in longer runs.
    """
    sizes = list(zip(axes, x.shape[1:3], kernel.shape[:2], strict=True))
    strides = [axis.stride for axis in axes]
    outputs = [axis.outputs(pixels, weights) for axis, pixels, weights in sizes]
    taps = [-(-weights // axis.stride) for axis, _, weights in sizes]  # blocks that the kernel covers
    blocks = [count + tap - 1 for count, tap in zip(outputs, taps, strict=True)]
    ends = [
        (axis.before, block * axis.stride - pixels - axis.before, 0)
        for block, (axis, pixels, _) in zip(blocks, sizes, strict=True)
    ]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *ends, (0, 0, 0)))
    x = x.reshape(x.shape[0], blocks[0], strides[0], blocks[1], strides[1], -1).swapaxes(2, 3)
    x = jax.lax.optimization_barrier(x.reshape(*x.shape[:3], -1))  # else XLA pads anew in each patch
    corners = product(range(taps[0]), range(taps[1]))
    patches = [x[:, row : row + outputs[0], column : column + outputs[1]] for row, column in corners]
    missing = [(0, tap * axis.stride - weights) for tap, (axis, _, weights) in zip(taps, sizes, strict=True)]
    kernel = jnp.pad(kernel, (*missing, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], strides[0], taps[1], strides[1], *kernel.shape[2:]).swapaxes(1, 2)
    return jnp.concatenate(patches, axis=3) @ kernel.reshape(-1, kernel.shape[-1])


def row_products(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without strides of a large kernel as one matrix product per row of outputs.

    This is the form for a derivative in the kernel. There the outputs are few, channels in are the examples, and the
    products sum over examples and pixels. Either images or kernels may be dilated.
    """
    counts = [axis.outputs(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)]
    befores, factors = [axis.before for axis in axes], [axis.factor for axis in axes]
    pixels, weights = x.transpose(3, 1, 2, 0), kernel.transpose(2, 0, 1, 3)
    if not any(axis.image_dilation > 1 for axis in axes):
        return _pair_products(pixels, weights, counts, befores, factors).transpose(2, 0, 1, 3)
    befores = [count - 1 - before for count, before in zip(counts, befores, strict=True)]  # weights move over pixels
    return jnp.flip(_pair_products(weights, pixels, counts, befores, factors), (0, 1)).transpose(3, 0, 1, 2)


def _pair_products(
    dense: Array, sparse: Array, counts: Sequence[int], befores: Sequence[int], factors: Sequence[int]
) -> Array:
    """Returns sum_n,s dense[n, factor s + o - before] sparse[n, s] for all o below `counts`, `[*counts, c, d]`.

    Each example n of `dense` has c channels, each of `sparse` d. In the width, blocks of `factor` pixels of `dense` are
    its channels, and the shifted copies of `sparse` stand side by side.
    """
    (rows, columns), (up, left), (stride, factor) = counts, befores, factors
    _, height, width, channels = sparse.shape
    shifts = -(-columns // factor)
    blocks = width + shifts - 1
    zero = jnp.zeros((), sparse.dtype)
    wide = jax.lax.pad(sparse, zero, ((0, 0, 0), (0, 0, 0), (shifts - 1, shifts - 1, 0), (0, 0, 0)))
    copies = [wide[:, :, shifts - 1 - shift :][:, :, :blocks] for shift in range(shifts)]
    copies = jax.lax.optimization_barrier(jnp.stack(copies, axis=3).reshape(-1, shifts * channels))

    def row(first: int) -> Array:
        above = min(height, max(0, -(first // stride)))  # rows of zeros
        some = dense[:, first + stride * above :: stride][:, : height - above]
        ends = (above, height - above - some.shape[1], 0), (left, blocks * factor - dense.shape[2] - left, 0)
        some = jax.lax.pad(some, zero, ((0, 0, 0), *ends, (0, 0, 0)))
        return onednn.product(some.reshape(len(copies), -1), copies)

    products = jnp.stack([row(first - up) for first in range(rows)])
    products = products.reshape(rows, factor, dense.shape[3], shifts, channels).transpose(0, 3, 1, 2, 4)
    return products.reshape(rows, -1, dense.shape[3], channels)[:, :columns]
