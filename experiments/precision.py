"""The switch `--precision` of experiments: what networks are computed in."""

from __future__ import annotations

import sys
from typing import Literal

Precision = Literal["float32", "bfloat16"]


def at(precision: Precision, *networks):
    """The networks, computed at that precision; parameters, and all that is made of outputs, are float32 at either."""
    from genjax_models.networks.precision import InBfloat16

    return tuple(InBfloat16(network) for network in networks) if precision == "bfloat16" else networks


def say_where_it_loses(precision: Precision) -> None:
    """One line on standard error where bfloat16 is asked for and makes a step slower.

    On an AMD EPYC with bfloat16 instructions (jax 0.10.2) a step of the VAE (500-500, batch 100) takes 1.5 times the
    processor time, and so does one of the IWAE (200-200, k = 50, batch 20); no accelerator has been measured.
    """
    import jax

    if precision == "bfloat16" and jax.default_backend() == "cpu":
        print("warning: bfloat16 takes about 1.5 times as long as float32 on a CPU", file=sys.stderr)
