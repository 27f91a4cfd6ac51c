"""Networks that compute in bfloat16, for the matrix units of GPUs and TPUs; parameters and outputs stay float32."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


class InBfloat16(nn.Module):
    """The same network, computed in bfloat16: it replaces `network`, which may be any module.

    Parameters stay in float32, with the names and initial values of the network itself. Optimizers and checkpoints
    therefore fit both. The layers get parameters and inputs rounded to 8 bits of significand. The outputs are float32
    again: likelihoods, bounds and payoffs are computed in float32. bfloat16 has the exponent range of float32, so
    losses need no scaling.

    Batch statistics stay in float32. Parameters that belong to the network itself, not to a layer, stay in float32 too:
    rounding a learned scale of 784 pixels cost one nat.

    Attributes:
      network: the module whose `__call__` is wrapped.
    """

    network: nn.Module

    @property
    def range(self) -> tuple[float, float] | None:
        """Lowest and highest value that the network can make, if it says so."""
        return getattr(self.network, "range", None)

    def setup(self):  # noqa: ANN201
        """Shares the scope of the network, so that parameter names have no further level."""
        nn.share_scope(self, self.network)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Returns the network's outputs for `args` and `options`; only float32 arrays are cast."""
        if self.is_initializing():
            return self.network(*args, **options)
        compute = nn.map_variables(_call, "params", _layers_in_bfloat16)
        inputs = _cast((args, options), jnp.float32, jnp.bfloat16)
        return _cast(compute(self.network, *inputs), jnp.bfloat16, jnp.float32)


def _call(network: nn.Module, args: tuple, options: dict) -> Any:
    return network(*args, **options)


def _layers_in_bfloat16(variables: dict[str, Any]) -> dict[str, Any]:
    """Returns the variables with the parameters of layers in bfloat16; the network's own stay unchanged."""
    cast = lambda value: _cast(value, jnp.float32, jnp.bfloat16) if isinstance(value, Mapping) else value
    return {"params": {name: cast(value) for name, value in variables["params"].items()}}


def _cast(tree: Any, source: jnp.dtype, target: jnp.dtype) -> Any:
    """Returns the tree, with arrays of type `source` cast to `target`."""
    return jax.tree.map(lambda leaf: leaf.astype(target) if getattr(leaf, "dtype", None) == source else leaf, tree)
