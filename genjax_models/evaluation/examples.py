"""Maps a function of one example over a whole set, in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.estimators.checks import check_prepared
from genjax_models.types import Array, PRNGKey


def check_examples(model: Any, x: Array) -> None:
    """Checks that x `[n, *shape]` are prepared examples of a model: their shape, and as `check_prepared` does.

    A model without `shape` and `support` of its own leaves both unchecked.

    Raises:
      ValueError: names the shape, or the first row and its value.
    """
    shape = getattr(model, "shape", None)
    if shape is not None and np.shape(x)[1:] != tuple(shape):
        hint = ". Add the axis of examples: x[None]" if np.shape(x) == tuple(shape) else ""
        raise ValueError(f"x must be [n, {', '.join(map(str, shape))}], got shape {np.shape(x)}{hint}")
    check_prepared("x", x, getattr(model, "support", None))


def map_examples(function: Callable[[PRNGKey, Any], Any], key: PRNGKey, x: Any, *, batch_size: int) -> Any:
    """Returns `function(key_i, x_i)` for each example, computed `batch_size` at a time.

    Example i draws from `fold_in(key, i)`, so that no draw depends on the batch size. The last batch may be smaller;
    nothing is padded. Figures of two batch sizes agree to float32 rounding.

    Args:
      function: (key, one example `[*shape]`) -> a pytree.
      key: example i gets `fold_in(key, i)`.
      x: examples `[n, *shape]`, n at least 1, or a pytree of them (a `Batch`, for example).
      batch_size: examples in memory at once, at least 1.

    Returns:
      The pytree with leaves `[n, ...]`.

    Raises:
      ValueError: there are no examples, or the batch size is below 1.
    """
    n = len(jax.tree.leaves(x)[0])
    if not n:
        raise ValueError("evaluation needs at least one example, got none")
    if batch_size < 1:
        raise ValueError(f"`batch_size` of evaluation must be at least 1, got {batch_size}")
    return jax.lax.map(
        lambda example: function(jax.random.fold_in(key, example[0]), example[1]),
        (jnp.arange(n), x),
        batch_size=min(batch_size, n),
    )
