"""Writes the classifier file that `data.features` loads, from a finished run of experiments.classifier.

python -m experiments.studies.ship_classifier runs/classifier mnist_classifier.npz
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from genjax_models.runs.command_line import exit_on_error, parse


@dataclasses.dataclass(frozen=True)
class ShipClassifier:
    """Write the parameters of a classifier at its best checkpoint, as float16 arrays, into a .npz file."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    path: tyro.conf.Positional[Path]
    """Path of the .npz file."""


def ship(run: Path | str, path: Path | str) -> None:
    """Writes the file. The same run gives the same bytes, so `data.features` can store their digest."""
    import numpy as np
    from flax.traverse_util import flatten_dict

    import genjax_models as gx

    params = flatten_dict(gx.load_run(run).players["classifier"]["params"], sep="/")
    np.savez_compressed(path, **{name: np.asarray(value, np.float16) for name, value in sorted(params.items())})


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the file and prints its path. Returns the exit status."""
    with exit_on_error():
        program = "python -m experiments.studies.ship_classifier"
        options = parse(ShipClassifier, arguments, program, ShipClassifier.__doc__)
        ship(options.run, options.path)
        print(options.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
