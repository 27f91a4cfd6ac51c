"""Sums over a kernel's Gram matrix that never hold the matrix: it is made in square blocks, each thrown away.

The derivative of a sum is taken in the same pass as its value: while a block is on hand, so is all that its part of
the gradient needs. Nothing is made twice, nothing of size n m is kept, and what nobody differentiates takes no
gradient. A kernel is symmetric: of the blocks of k(x, x) that mirror each other one is made, and in those on the
diagonal half of the gradient is taken and doubled.

The price is that these sums have derivatives of reverse mode alone (`jax.grad`, of any order; no `jax.jvp`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.kernels import PRECISION, Kernel
from genjax_models.types import Array

BLOCK_SIZE = 512  # a block and all that is made of it stay near the processor: larger ones take up to 1.5 x as long


def sum_between(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    """sum_ij k(x_i, y_j), a scalar, of x `[n, ...]` and y `[m, ...]`."""
    rows, columns = _Blocks.of(x, block_size), _Blocks.of(y, block_size)
    kernel, constants = jax.closure_convert(kernel, x[: rows.size], y[: columns.size])
    return _sum_between(kernel, rows, columns, x, y, constants)


def sum_within(kernel: Kernel, x: Array, block_size: int) -> Array:
    """sum_{i != j} k(x_i, x_j), a scalar, of x `[n, ...]`."""
    blocks = _Blocks.of(x, block_size)
    kernel, constants = jax.closure_convert(kernel, x[: blocks.size], x[: blocks.size])
    return _sum_within(kernel, blocks, x, constants)


def paired(kernel: Kernel, x: Array, y: Array) -> Array:
    """k(x_i, y_i), `[n]`, of pairs; with y = x the kernel's own diagonal."""
    return jax.vmap(lambda a, b: kernel(a[None], b[None])[0, 0])(x, y)


def row_sums(kernel: Kernel, x: Array, y: Array, block_size: int) -> Array:
    """sum_j k(x_i, y_j), `[n]`, in O(block_size m) memory, gradient included."""
    return map_blocks(lambda rows: jnp.matmul(kernel(rows, y), jnp.ones(len(y)), precision=PRECISION), x, block_size)


def map_blocks(function: Callable[[Any], Array], rows: Any, block_size: int) -> Array:
    """`function` of blocks of the rows of a pytree, joined; made again where a gradient needs them."""
    function = jax.checkpoint(function)
    n = len(jax.tree.leaves(rows)[0])
    whole = n // block_size * block_size
    parts = []
    if whole:
        blocks = jax.tree.map(lambda a: a[:whole].reshape(-1, block_size, *a.shape[1:]), rows)
        of_blocks = jax.lax.map(function, blocks)
        parts.append(of_blocks.reshape(whole, *of_blocks.shape[2:]))
    if whole < n:
        parts.append(function(jax.tree.map(lambda a: a[whole:], rows)))
    return jnp.concatenate(parts)


class _Blocks(NamedTuple):
    """`count` blocks of `size` rows cover `total`. The last one reaches back where they are more, and weights 0 and 1
    keep its rows from counting twice."""

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


def _zeros(value: Any, wanted: bool) -> Any:
    """A gradient to add to, or None where nobody wants it."""
    return jax.tree.map(jnp.zeros_like, value) if wanted else None


def _value_and_gradients(function: Callable, arguments: tuple, wanted: tuple[bool, ...]) -> tuple[Array, tuple]:
    """`function(*arguments)`, a scalar, and its gradient in each argument that is wanted, None in the others."""
    which = [i for i, want in enumerate(wanted) if want]
    if not which:
        return function(*arguments), (None,) * len(wanted)
    value, gradients = jax.value_and_grad(function, which)(*arguments)
    gradients = dict(zip(which, gradients, strict=True))
    return value, tuple(gradients.get(i) for i in range(len(wanted)))


def _scan(body: Callable, carry: Any, indices: tuple[np.ndarray, ...]) -> Any:
    """`body(carry, *index)` for each index; one alone needs no loop."""
    if len(indices[0]) == 1:
        return body(carry, *(int(index[0]) for index in indices))
    return jax.lax.scan(lambda carry, index: (body(carry, *index), None), carry, indices)[0]


def _weighted(a: Array, gram: Array, b: Array) -> Array:
    return jnp.matmul(a, jnp.matmul(gram, b, precision=PRECISION), precision=PRECISION)


def _add(total: Any, part: Any, times: float = 1) -> Any:
    return None if total is None else jax.tree.map(lambda a, b: a + times * b, total, part)


def _between(kernel, rows, columns, x, y, constants, wanted):
    """The sum and its gradients in (x, y, constants)."""

    def body(carry, i, j):
        value, in_x, in_y, in_constants = carry

        def part(x_i, y_j, constants):
            return _weighted(rows.weights(i), kernel(x_i, y_j, *constants), columns.weights(j))

        arguments = rows.take(x, i), columns.take(y, j), constants
        of_part, (to_x, to_y, to_constants) = _value_and_gradients(part, arguments, wanted)
        return value + of_part, rows.add(in_x, to_x, i), columns.add(in_y, to_y, j), _add(in_constants, to_constants)

    carry = jnp.zeros(()), _zeros(x, wanted[0]), _zeros(y, wanted[1]), _zeros(constants, wanted[2])
    i, j = (index.ravel() for index in np.indices((rows.count, columns.count)))
    value, *gradients = _scan(body, carry, (i, j))
    return value, tuple(gradients)


def _within(kernel, blocks, x, constants, wanted):
    """The sum and its gradients in (x, constants)."""
    of_x, of_constants = wanted
    apart = ~np.eye(blocks.size, dtype=bool)

    def on_diagonal(carry, i):
        value, in_x, in_constants = carry
        x_i, weights = blocks.take(x, i), blocks.weights(i)

        def part(rows, constants):  # half of the gradient in x: the columns have the other, and it is the same
            return _weighted(weights, jnp.where(apart, kernel(rows, x_i, *constants), 0), weights)

        of_part, (to_x, to_constants) = _value_and_gradients(part, (x_i, constants), wanted)
        to_x = 2 * to_x if of_x else None
        return value + of_part, blocks.add(in_x, to_x, i), _add(in_constants, to_constants)

    def above_diagonal(carry, i, j):
        value, in_x, in_constants = carry

        def part(x_i, x_j, constants):
            return 2 * _weighted(blocks.weights(i), kernel(x_i, x_j, *constants), blocks.weights(j))

        arguments = blocks.take(x, i), blocks.take(x, j), constants
        of_part, (to_i, to_j, to_constants) = _value_and_gradients(part, arguments, (of_x, of_x, of_constants))
        in_x = blocks.add(blocks.add(in_x, to_i, i), to_j, j)
        return value + of_part, in_x, _add(in_constants, to_constants)

    carry = jnp.zeros(()), _zeros(x, of_x), _zeros(constants, of_constants)
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
    """The gradients that the forward pass has left, times the cotangent of the sum."""
    *_, gradients, cotangent = arguments
    return tuple(jax.tree.map(lambda gradient: cotangent * gradient, of_argument) for of_argument in gradients)


_sum_between.defvjp(_sum_between_forward, _scaled, symbolic_zeros=True)
_sum_within.defvjp(_sum_within_forward, _scaled, symbolic_zeros=True)
