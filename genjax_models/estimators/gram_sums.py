"""Sums over the Gram matrix of a kernel, computed in square blocks: the whole matrix is never in memory.

One pass computes the value of a sum and its gradient, then discards each block. No block is computed twice, and nothing
of size n m is stored. Arguments that nobody differentiates get no gradient. Kernels are symmetric: of two mirrored
blocks of k(x, x), only one is computed. On diagonal blocks, half of the gradient is computed and doubled.

These sums have only reverse-mode derivatives (`jax.grad`, of any order; no `jax.jvp`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.kernels import PRECISION, Kernel
from genjax_models.types import Array

BLOCK_SIZE = 512  # a block and its results stay in the processor's cache: larger blocks take up to 1.5 x as long


def sum_between(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    """Returns sum_ij k(x_i, y_j), a scalar, for x `[n, ...]` and y `[m, ...]`."""
    rows, columns = _Blocks.of(x, block_size), _Blocks.of(y, block_size)
    kernel, constants = jax.closure_convert(kernel, x[: rows.size], y[: columns.size])
    return _sum_between(kernel, rows, columns, x, y, constants)


def sum_within(kernel: Kernel, x: Array, block_size: int) -> Array:
    """Returns sum_{i != j} k(x_i, x_j), a scalar, for x `[n, ...]`."""
    blocks = _Blocks.of(x, block_size)
    kernel, constants = jax.closure_convert(kernel, x[: blocks.size], x[: blocks.size])
    return _sum_within(kernel, blocks, x, constants)


def paired(kernel: Kernel, x: Array, y: Array) -> Array:
    """Returns k(x_i, y_i) per pair, `[n]`; with y = x, the diagonal of the kernel."""
    return jax.vmap(lambda a, b: kernel(a[None], b[None])[0, 0])(x, y)


def row_sums(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    """Returns sum_j k(x_i, y_j), `[n]`. Value and gradient need O(block_size m) memory."""
    return map_blocks(lambda rows: jnp.matmul(kernel(rows, y), jnp.ones(len(y)), precision=PRECISION), x, block_size)


def row_and_column_sums(kernel: Kernel, x: Array, y: Array, block_size: int) -> tuple[Array, Array]:
    """Returns sum_j k(x_i, y_j), `[n]`, and sum_i k(x_i, y_j), `[m]`. Each block is computed once."""
    rows, columns = _Blocks.of(x, block_size), _Blocks.of(y, block_size)

    def body(sums, i, j):
        of_rows, of_columns = _sums_of_block(kernel(rows.take(x, i), columns.take(y, j)), rows, i, columns, j)
        return rows.add(sums[0], of_rows, i), columns.add(sums[1], of_columns, j)

    i, j = (index.ravel() for index in np.indices((rows.count, columns.count)))
    return _scan(jax.checkpoint(body), (jnp.zeros(len(x), x.dtype), jnp.zeros(len(y), y.dtype)), (i, j))


def row_sums_within(kernel: Kernel, x: Array, block_size: int) -> Array:
    """Returns sum_{j != i} k(x_i, x_j), `[n]`. Of two mirrored blocks, only one is computed."""
    blocks = _Blocks.of(x, block_size)
    off_diagonal = ~np.eye(blocks.size, dtype=bool)

    def on_diagonal(sums, i):
        gram = jnp.where(off_diagonal, kernel(blocks.take(x, i), blocks.take(x, i)), 0)
        return blocks.add(sums, _sums_of_block(gram, blocks, i, blocks, i)[0], i)

    def above_diagonal(sums, i, j):
        of_rows, of_columns = _sums_of_block(kernel(blocks.take(x, i), blocks.take(x, j)), blocks, i, blocks, j)
        return blocks.add(blocks.add(sums, of_rows, i), of_columns, j)

    sums = _scan(jax.checkpoint(on_diagonal), jnp.zeros(len(x), x.dtype), (np.arange(blocks.count),))
    if blocks.count > 1:
        sums = _scan(jax.checkpoint(above_diagonal), sums, np.triu_indices(blocks.count, 1))
    return sums


def map_blocks(function: Callable[[Any], Any], rows: Any, block_size: int) -> Any:
    """Returns `function` of blocks of the rows of a pytree, concatenated. A gradient computes each block again."""
    function = jax.checkpoint(function)
    n = len(jax.tree.leaves(rows)[0])
    whole = n // block_size * block_size
    parts = []
    if whole:
        blocks = jax.tree.map(lambda a: a[:whole].reshape(-1, block_size, *a.shape[1:]), rows)
        parts.append(jax.tree.map(lambda a: a.reshape(whole, *a.shape[2:]), jax.lax.map(function, blocks)))
    if whole < n:
        parts.append(function(jax.tree.map(lambda a: a[whole:], rows)))
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


class _Blocks(NamedTuple):
    """`count` blocks of `size` rows, which cover `total` rows.

    If the blocks have more rows than `total`, the last block overlaps the block before. Its repeated rows have weight 0
    and all other rows have weight 1, so that no row counts twice.
    """

    total: int
    size: int
    count: int

    @classmethod
    def of(cls, x: Array, block_size: int) -> "_Blocks":
        count = -(-len(x) // block_size)
        return cls(len(x), -(-len(x) // count), count)

    def start(self, i: Array) -> Array:
        return jnp.minimum(i * self.size, self.total - self.size)

    def take(self, x: Array, i: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(x, self.start(i), self.size)

    def weights(self, i: Array) -> Array:
        return (self.start(i) + jnp.arange(self.size) >= i * self.size).astype(jnp.float32)

    def add(self, total: Array | None, part: Array | None, i: Array) -> Array | None:
        if total is None:
            return None
        return jax.lax.dynamic_update_slice_in_dim(total, self.take(total, i) + part, self.start(i), 0)


def _zeros(value: Any, needed: bool) -> Any:
    """Returns zeros to add a gradient to, or None if the gradient is not needed."""
    return jax.tree.map(jnp.zeros_like, value) if needed else None


def _value_and_gradients(function: Callable, arguments: tuple, needed: tuple[bool, ...]) -> tuple[Array, tuple]:
    """Returns the scalar `function(*arguments)` and a gradient per argument: None if it is not needed."""
    positions = [i for i, need in enumerate(needed) if need]
    if not positions:
        return function(*arguments), (None,) * len(needed)
    value, gradients = jax.value_and_grad(function, positions)(*arguments)
    gradients = dict(zip(positions, gradients, strict=True))
    return value, tuple(gradients.get(i) for i in range(len(needed)))


def _scan(body: Callable, carry: Any, indices: tuple[np.ndarray, ...]) -> Any:
    """Returns the last carry of `body(carry, *index)` over all indices; a single index needs no loop."""
    if len(indices[0]) == 1:
        return body(carry, *(int(index[0]) for index in indices))
    return jax.lax.scan(lambda carry, index: (body(carry, *index), None), carry, indices)[0]


def _sums_of_block(gram: Array, rows: _Blocks, i: Array, columns: _Blocks, j: Array) -> tuple[Array, Array]:
    """Returns the sums of the rows and of the columns of block (i, j); repeated rows and columns have none."""
    of_rows, of_columns = rows.weights(i), columns.weights(j)
    return (
        of_rows * jnp.matmul(gram, of_columns, precision=PRECISION),
        of_columns * jnp.matmul(of_rows, gram, precision=PRECISION),
    )


def _weighted(a: Array, gram: Array, b: Array) -> Array:
    return jnp.matmul(a, jnp.matmul(gram, b, precision=PRECISION), precision=PRECISION)


def _add(total: Any, part: Any, times: float = 1) -> Any:
    return None if total is None else jax.tree.map(lambda a, b: a + times * b, total, part)


def _between(kernel, rows, columns, x, y, constants, needed):
    """Returns the sum and its gradients in (x, y, constants)."""

    def body(carry, i, j):
        value, grad_x, grad_y, grad_constants = carry

        def part(x_i, y_j, constants):
            return _weighted(rows.weights(i), kernel(x_i, y_j, *constants), columns.weights(j))

        arguments = rows.take(x, i), columns.take(y, j), constants
        part_value, (part_x, part_y, part_constants) = _value_and_gradients(part, arguments, needed)
        grad_x, grad_y = rows.add(grad_x, part_x, i), columns.add(grad_y, part_y, j)
        return value + part_value, grad_x, grad_y, _add(grad_constants, part_constants)

    carry = jnp.zeros(()), _zeros(x, needed[0]), _zeros(y, needed[1]), _zeros(constants, needed[2])
    i, j = (index.ravel() for index in np.indices((rows.count, columns.count)))
    value, *gradients = _scan(body, carry, (i, j))
    return value, tuple(gradients)


def _within(kernel, blocks, x, constants, needed):
    """Returns the sum and its gradients in (x, constants)."""
    need_x, need_constants = needed
    off_diagonal = ~np.eye(blocks.size, dtype=bool)

    def on_diagonal(carry, i):
        value, grad_x, grad_constants = carry
        x_i, weights = blocks.take(x, i), blocks.weights(i)

        def part(rows, constants):  # half of the gradient in x: the columns give the other half, which is equal
            return _weighted(weights, jnp.where(off_diagonal, kernel(rows, x_i, *constants), 0), weights)

        part_value, (part_x, part_constants) = _value_and_gradients(part, (x_i, constants), needed)
        part_x = 2 * part_x if need_x else None
        return value + part_value, blocks.add(grad_x, part_x, i), _add(grad_constants, part_constants)

    def above_diagonal(carry, i, j):
        value, grad_x, grad_constants = carry

        def part(x_i, x_j, constants):
            return 2 * _weighted(blocks.weights(i), kernel(x_i, x_j, *constants), blocks.weights(j))

        arguments = blocks.take(x, i), blocks.take(x, j), constants
        needed = need_x, need_x, need_constants
        part_value, (part_i, part_j, part_constants) = _value_and_gradients(part, arguments, needed)
        grad_x = blocks.add(blocks.add(grad_x, part_i, i), part_j, j)
        return value + part_value, grad_x, _add(grad_constants, part_constants)

    carry = jnp.zeros(()), _zeros(x, need_x), _zeros(constants, need_constants)
    carry = _scan(on_diagonal, carry, (np.arange(blocks.count),))
    if blocks.count > 1:
        carry = _scan(above_diagonal, carry, np.triu_indices(blocks.count, 1))
    value, *gradients = carry
    return value, tuple(gradients)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _sum_between(kernel, rows, columns, x, y, constants):
    return _between(kernel, rows, columns, x, y, constants, (False, False, False))[0]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _sum_within(kernel, blocks, x, constants):
    return _within(kernel, blocks, x, constants, (False, False))[0]


def _perturbed(tree: Any) -> bool:
    return any(leaf.perturbed for leaf in jax.tree.leaves(tree, is_leaf=_is_primal))


def _values(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.value, tree, is_leaf=_is_primal)


def _is_primal(leaf: Any) -> bool:
    return hasattr(leaf, "perturbed")


def _sum_between_forward(kernel, rows, columns, *arguments):
    return _between(kernel, rows, columns, *_values(arguments), tuple(_perturbed(a) for a in arguments))  # pyright: ignore[reportCallIssue]


def _sum_within_forward(kernel, blocks, *arguments):
    return _within(kernel, blocks, *_values(arguments), tuple(_perturbed(a) for a in arguments))  # pyright: ignore[reportCallIssue]


def _scaled(*arguments):
    """Returns the gradients of the forward pass, times the cotangent of the sum."""
    *_, gradients, cotangent = arguments
    return tuple(jax.tree.map(lambda leaf: cotangent * leaf, gradient) for gradient in gradients)


_sum_between.defvjp(_sum_between_forward, _scaled, symbolic_zeros=True)
_sum_within.defvjp(_sum_within_forward, _scaled, symbolic_zeros=True)
