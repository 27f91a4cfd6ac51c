"""Forms of a convolution that are matrix products of copies of its image. XLA computes them fast on the CPU."""

from collections.abc import Callable, Sequence
from itertools import product

import jax
import jax.numpy as jnp

from genjax_models.networks import onednn
from genjax_models.networks.convolution_axes import Axes
from genjax_models.networks.scheduling import computed_after
from genjax_models.types import Array

_COPIES = 2**21  # numbers in the copies of one chunk of examples, which stay in the cache


def as_product(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without dilations as one matrix product: patches `[outputs, weights]` times the kernel."""
    weights, strides = kernel.shape[:2], [axis.stride for axis in axes]
    outputs = [axis.outputs(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], weights, strict=True)]
    patches = _patches(x, weights, outputs, [axis.before for axis in axes], strides)
    taps = _taps(weights, strides)
    missing = [(0, tap * stride - size) for tap, stride, size in zip(taps, strides, weights, strict=True)]
    kernel = jnp.pad(kernel, (*missing, (0, 0), (0, 0)))
    kernel = kernel.reshape(taps[0], strides[0], taps[1], strides[1], *kernel.shape[2:]).swapaxes(1, 2)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def patch_product(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without strides of a large kernel as one matrix product: its patches times the weights.

    This is the form for a derivative in the kernel if channels are few. The patches are those of `as_product`.
    """
    return _derivative(_patch_products, x, kernel, axes)


def _patch_products(
    dense: Array, sparse: Array, counts: Sequence[int], befores: Sequence[int], factors: Sequence[int]
) -> Array:
    """Returns the sums of `_pair_products`, `[*counts, c, d]`, by patches of `dense`."""
    weights, (channels, features) = sparse.shape[1:3], (dense.shape[3], sparse.shape[3])
    taps = _taps(counts, factors)

    def copies(dense: Array, sparse: Array) -> tuple[Array, Array]:
        return _patches(dense, counts, weights, befores, factors), sparse

    products = _sum_of_products(copies, dense, sparse)
    products = products.reshape(*taps, *factors, channels, features).swapaxes(1, 2)
    products = products.reshape(taps[0] * factors[0], taps[1] * factors[1], channels, features)
    return products[: counts[0], : counts[1]]


def _patches(
    x: Array, weights: Sequence[int], outputs: Sequence[int], befores: Sequence[int], strides: Sequence[int]
) -> Array:
    """Returns what each output sees, `[batch, *outputs, numbers]`.

    Blocks of stride x stride pixels become channels first, so that patches are copied in longer runs.
    """
    taps = _taps(weights, strides)
    blocks = [count + tap - 1 for count, tap in zip(outputs, taps, strict=True)]
    ends = [
        (before, block * stride - pixels - before, 0)
        for block, stride, pixels, before in zip(blocks, strides, x.shape[1:3], befores, strict=True)
    ]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *ends, (0, 0, 0)))
    x = x.reshape(x.shape[0], blocks[0], strides[0], blocks[1], strides[1], -1).swapaxes(2, 3)
    x = jax.lax.optimization_barrier(x.reshape(*x.shape[:3], -1))  # else XLA pads anew in each patch
    corners = product(range(taps[0]), range(taps[1]))
    patches = [x[:, row : row + outputs[0], column : column + outputs[1]] for row, column in corners]
    return jnp.concatenate(patches, axis=3)


def _taps(weights: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Returns the number of blocks of stride x stride pixels in a patch, in height and width."""
    return [-(-size // stride) for size, stride in zip(weights, strides, strict=True)]


def row_products(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without strides of a large kernel as one matrix product per row of outputs.

    This is the form for a derivative in the kernel. There the outputs are few, channels in are the examples, and the
    products sum over examples and pixels.
    """
    return _derivative(_pair_products, x, kernel, axes)


def _derivative(products: Callable[..., Array], x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a convolution without strides by `products` of examples. Either images or kernels may be dilated."""
    counts = [axis.outputs(*sizes) for axis, *sizes in zip(axes, x.shape[1:3], kernel.shape[:2], strict=True)]
    befores, factors = [axis.before for axis in axes], [axis.factor for axis in axes]
    pixels, weights = x.transpose(3, 1, 2, 0), kernel.transpose(2, 0, 1, 3)
    if not any(axis.image_dilation > 1 for axis in axes):
        return products(pixels, weights, counts, befores, factors).transpose(2, 0, 1, 3)
    befores = [count - 1 - before for count, before in zip(counts, befores, strict=True)]  # weights move over pixels
    return jnp.flip(products(weights, pixels, counts, befores, factors), (0, 1)).transpose(3, 0, 1, 2)


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

    def row(first: int, zero: Array) -> Array:
        above = min(height, max(0, -(first // stride)))  # rows of zeros
        some = dense[:, first + stride * above :: stride][:, : height - above]
        ends = (above, height - above - some.shape[1], 0), (left, blocks * factor - dense.shape[2] - left, 0)
        some = jax.lax.pad(some, zero, ((0, 0, 0), *ends, (0, 0, 0)))
        return onednn.product(some.reshape(len(copies), -1), copies)

    row_by_row: list[Array] = []
    for first in range(rows):
        row_by_row.append(row(first - up, computed_after(zero, row_by_row[-1]) if row_by_row else zero))
    products = jnp.stack(row_by_row)
    products = products.reshape(rows, factor, dense.shape[3], shifts, channels).transpose(0, 3, 1, 2, 4)
    return products.reshape(rows, -1, dense.shape[3], channels)[:, :columns]


def shift_products(x: Array, kernel: Array, axes: Axes) -> Array:
    """Returns a plain convolution of a large kernel as a sum of matrix products over chunks of examples.

    This is the form for a derivative in the kernel of a convolution without strides, in which channels in are the
    examples. Of each chunk, copies of the images that are shifted in the width stand side by side, and so do copies of
    the weights that are shifted in the height. Their product has all pairs of shifts.
    """
    return _derivative(_shift_products, x, kernel, axes)


def _shift_products(
    dense: Array, sparse: Array, counts: Sequence[int], befores: Sequence[int], factors: Sequence[int]
) -> Array:
    """Returns the sums of `_pair_products`, `[*counts, c, d]`, for factors of 1."""
    (_, height, width, channels), (rows, columns), (up, left) = dense.shape, counts, befores
    _, *weights, features = sparse.shape
    zero = jnp.zeros((), dense.dtype)
    unchanged = (0, 0, 0)

    def copies(dense: Array, sparse: Array) -> tuple[Array, Array]:
        ends = left, weights[1] + columns - 1 - width - left, 0
        wide = jax.lax.pad(dense, zero, (unchanged, unchanged, ends, unchanged))
        wide = jnp.concatenate([wide[:, :, column:][:, :, : weights[1]] for column in range(columns)], axis=3)
        ends = rows - 1 - up, height + up - weights[0], 0
        high = jax.lax.pad(sparse, zero, (unchanged, ends, unchanged, unchanged))
        return wide, jnp.concatenate([high[:, rows - 1 - row :][:, :height] for row in range(rows)], axis=3)

    return _sum_of_products(copies, dense, sparse).reshape(columns, channels, rows, features).transpose(2, 0, 1, 3)


def _sum_of_products(copies: Callable[[Array, Array], tuple[Array, Array]], dense: Array, sparse: Array) -> Array:
    """Returns the sum of a^T b over examples and pixels, `[c, d]`, for the `copies` a and b of both arrays.

    Copies of a chunk of examples stay in the cache.

    Args:
      copies: maps n examples of both to a `[n, height, width, c]` and b `[n, height, width, d]`.
      dense: images, `[examples, ...]`.
      sparse: images, `[examples, ...]`.
    """
    examples = dense.shape[0]
    one = [jax.ShapeDtypeStruct((1, *array.shape[1:]), array.dtype) for array in (dense, sparse)]
    of_one = jax.eval_shape(copies, *one)
    most = max(1, min(examples, _COPIES // sum(copy.size for copy in of_one)))
    size = max(size for size in range(1, most + 1) if examples % size == 0)  # without a rest, if not too small
    size = size if 2 * size >= most else most

    def add_chunk(first: Array, size: int, total: Array) -> Array:
        a, b = copies(*(jax.lax.dynamic_slice_in_dim(array, first, size) for array in (dense, sparse)))
        return total + onednn.product(a.reshape(-1, a.shape[3]), b.reshape(-1, b.shape[3]))

    chunks, rest = divmod(examples, size)
    total = jnp.zeros([copy.shape[3] for copy in of_one], jnp.promote_types(dense.dtype, jnp.float32))
    total = jax.lax.fori_loop(0, chunks, lambda index, total: add_chunk(index * size, size, total), total)
    total = add_chunk(chunks * size, rest, total) if rest else total
    return total.astype(dense.dtype)
