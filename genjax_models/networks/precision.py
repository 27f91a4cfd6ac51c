"""Networks computed in bfloat16, for the matrix units of GPUs and TPUs, between parameters and outputs in float32."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class InBfloat16(nn.Module):
    """The same network, computed in bfloat16: any of `networks`, or another module, in the place of `network`.

    Parameters stay in float32, and so do optimizers and checkpoints, which fit both ways: their names, and the values
    that they start with, are those of the network alone. Its layers are shown parameters and inputs rounded to 8 bits
    of significand, and what it emits is float32 again, so that likelihoods, bounds and payoffs are computed in float32.
    The exponent has float32's range, and so losses need no scaling. Batch statistics stay in float32, and so do
    parameters of the network itself, beside those of its layers: rounding a learned scale of 784 pixels cost a nat.

    Attributes:
      network: whose `__call__` is wrapped.
    """

    network: nn.Module

    def setup(self):  # noqa: ANN201
        """The parameters are the network's own, without a level of names above them."""
        nn.share_scope(self, self.network)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """What the network makes of `args` and `options`; arrays of other types than float32 are passed on."""
        if self.is_initializing():
            return self.network(*args, **options)
        compute = nn.map_variables(_call, "params", _of_layers)
        inputs = _cast((args, options), jnp.float32, jnp.bfloat16)
        return _cast(compute(self.network, *inputs), jnp.bfloat16, jnp.float32)


def _call(network: nn.Module, args: tuple, options: dict) -> Any:
    return network(*args, **options)


def _of_layers(variables: dict[str, Any]) -> dict[str, Any]:
    """The parameters of layers in bfloat16, those of the network itself as they are."""
    cast = lambda value: _cast(value, jnp.float32, jnp.bfloat16) if isinstance(value, Mapping) else value
    return {"params": {name: cast(value) for name, value in variables["params"].items()}}


def _cast(tree: Any, given: jnp.dtype, wanted: jnp.dtype) -> Any:
    """The tree with its arrays of type `given` as `wanted`."""
    return jax.tree.map(lambda leaf: leaf.astype(wanted) if getattr(leaf, "dtype", None) == given else leaf, tree)
