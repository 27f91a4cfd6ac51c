"""The precision of networks, as a config names it. Imports no jax, so that --help is quick."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import flax.linen as nn

Precision = Literal["float32", "bfloat16"]


def at_precision(precision: Precision, *networks: nn.Module) -> tuple[nn.Module, ...]:
    """Returns the networks, computed at this precision; their parameters and outputs are float32."""
    from genjax_models.networks.precision import InBfloat16

    return tuple(InBfloat16(network) for network in networks) if precision == "bfloat16" else networks


def warn_if_slower(precision: Precision) -> None:
    """Says on standard error that bfloat16 makes a step slower on this machine.

    Measured on an AMD EPYC with bfloat16 instructions (jax 0.10.2): a step of the VAE (500-500, batch 100) takes 1.5
    times the processor time, and so does a step of the IWAE (200-200, k = 50, batch 20).
    """
    import jax

    if precision == "bfloat16" and jax.default_backend() == "cpu":
        print("warning: bfloat16 takes about 1.5 times as long as float32 on a CPU", file=sys.stderr)
