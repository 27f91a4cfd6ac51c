"""The orthogonal penalty of a generator's weights, which makes it smooth enough for truncation (Brock et al., 2019)."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.types import Array

Skip = Callable[[str], bool]


def orthogonal_penalty(params: Any, skip: Iterable[str] = ()) -> Array:
    """Returns sum |W'W o (1 - I)|^2 over the kernels W, a scalar (Brock et al., 2019, Eq. 3, without its weight beta).

    The columns of W are filters: different filters should be orthogonal, of any length. The gradient is
    4 W (W'W o (1 - I)). Some published code adds half of it: its weight counts half of this one.

    Args:
      params: tree of parameters. Leaves with two axes or more are kernels, `[..., in, out]`; others have no penalty.
      skip: names of leaves or modules without penalty (an embedding of classes, say).

    Raises:
      ValueError: no kernel is left.
    """
    left_out = set(skip)
    penalties = [
        _of_kernel(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
        if leaf.ndim > 1 and left_out.isdisjoint(str(getattr(part, "key", part)) for part in path)
    ]
    if not penalties:
        raise ValueError(f"the orthogonal penalty needs a kernel, and none is left after skip={sorted(left_out)}")
    return sum(penalties[1:], penalties[0])


def _of_kernel(kernel: Array) -> Array:
    matrix = kernel.reshape(-1, kernel.shape[-1])
    products = matrix.T @ matrix
    return jnp.sum((products - jnp.diag(jnp.diag(products))) ** 2)
