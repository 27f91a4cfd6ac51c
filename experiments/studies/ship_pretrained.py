"""Trains a model that the package ships, and writes its file (`gx.pretrained`).

python -m experiments.studies.ship_pretrained digits_vae genjax_models/data/files/pretrained_digits_vae.npz

It prints the digest, which `genjax_models.trained.released` stores, and held-out figures of the stored float16 numbers.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from genjax_models.runs.command_line import exit_on_error, parse


@dataclasses.dataclass(frozen=True)
class ShipPretrained:
    """Train a model that the package ships, and write it as float16 arrays into a .npz file."""

    name: tyro.conf.Positional[Literal["digits_vae", "digits_gan", "chairs", "rivers_vae"]]
    """Name of the model."""
    path: tyro.conf.Positional[Path]
    """Path of the .npz file."""


def ship(name: str, path: Path | str) -> dict[str, float]:
    """Trains, writes the file, and returns the test figures of what the file holds."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax.traverse_util import unflatten_dict

    import genjax_models as gx
    from genjax_models.runs.evaluation import evaluation_key, players_for_sampling, summarised
    from genjax_models.trained.loading import packed
    from genjax_models.trained.released import RELEASED

    released = RELEASED[name]
    config = released.experiment.config()
    completed, dataset = config.load()
    if completed != config:
        raise SystemExit(f"the config of {name} must hold what its data say: {completed}")
    system = released.experiment.build(config)
    data = system.prepare(dataset)
    result = gx.fit(system.trainer, data, config.training, seed=config.seed, evaluate=system.evaluate)
    arrays = packed(players_for_sampling(result.state)[released.player])
    np.savez_compressed(path, **arrays)
    stored = unflatten_dict({path: jnp.asarray(value, jnp.float32) for path, value in arrays.items()}, sep="/")
    values = jax.jit(system.evaluate)({released.player: stored}, evaluation_key(), data.test)
    return {key: float(value) for key, value in summarised(0, "test", values).items() if key not in ("step", "split")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains, writes the file, and prints its digest and its figures. Returns the exit status."""
    import hashlib

    with exit_on_error():
        program = "python -m experiments.studies.ship_pretrained"
        options = parse(ShipPretrained, arguments, program, ShipPretrained.__doc__)
        figures = ship(options.name, options.path)
        print(hashlib.sha256(options.path.read_bytes()).hexdigest(), options.path.stat().st_size, "bytes")
        for name, value in figures.items():
            print(f"{name} {value:.5g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
