"""When XLA computes an array. On the CPU it decides by what reads an array, which is not always fast."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata

from genjax_models.types import Array


def computed_once(x: Array) -> Array:
    """Returns x. XLA computes it once, and not anew in each copy that a derivative in the kernel makes of it.

    XLA computes an activation again in all that reads it. Then the copies take 2 to 10 times as long. XLA does not look
    into a call that is not inlined.
    """
    with set_xla_metadata(inlineable="false"):
        return _unchanged(x)


@jax.jit
def _unchanged(x: Array) -> Array:
    return jax.lax.optimization_barrier(x)  # else JAX removes the call


@jax.custom_jvp
def computed_after(x: Array, done: Array) -> Array:
    """Returns x. XLA computes what reads it after `done`.

    XLA runs operations at the same time if neither reads the other. An operation of oneDNN uses all cores, so two at
    the same time wait for each other. Then each takes up to 3 times as long.

    Args:
      x: a small array, of any shape. It is copied.
      done: floating-point array of any shape. If it is empty, nothing waits.
    """
    return _after(x, done) if done.size else x


@computed_after.defjvp
def _computed_after_jvp(primals: Any, tangents: Any) -> Any:
    return computed_after(*primals), tangents[0]


@jax.custom_batching.custom_vmap
def _after(x: Array, done: Array) -> Array:
    first = done.reshape(-1)[0]
    never = jnp.isnan(first) & (first == 0)  # XLA does not see this
    return jnp.where(never, 0, x)


@_after.def_vmap
def _after_vmapped(size: int, mapped: Any, x: Array, done: Array) -> Any:
    return _after(x, done[0] if mapped[1] else done), mapped[0]
