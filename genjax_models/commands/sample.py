"""Draws from a finished run, whatever its experiment, into a PNG file.

python -m genjax_models.commands.sample runs/demo --n 100
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole


@dataclasses.dataclass(frozen=True)
class Sample:
    """Draw from a finished run into a PNG file."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    n: int = 64
    """How many."""
    seed: int = 0
    """Of the draws, in [0, 2^32)."""
    label: int | None = None
    """Class of the draws from a conditional model; by default its classes in turn."""
    show: Literal["images", "draws"] = "images"
    """images: what the report shows (E[x | z], for one). draws: x from p(x), pixel noise and all."""
    checkpoint: Literal["best", "last"] = "best"
    """Best on held-out data, or last."""
    out: Path | None = None
    """The PNG file; by default figures/sample_<seed>.png in the run."""

    def __post_init__(self):
        whole(1, n=self.n)
        seed_in_range(self.seed)


def draw(options: Sample) -> Path:
    """Writes the picture.

    Returns:
      Its path.
    """
    import jax

    from genjax_models.runs import directory, experiment, figures, memory, pictures
    from genjax_models.runs.fit import ready

    module = of_run(options.run)
    config = directory.read_config(options.run, module.config)
    if not pictures.drawable(config.shape):
        raise InputError(f"{options.run}: its examples have shape {config.shape}, which is no image")
    objective, players = experiment.load(module, options.run, options.checkpoint)
    source = module.images(config) if options.show == "images" else objective.sample
    label = _labels(options, getattr(config, "classes", None))
    draw_all = jax.jit(lambda players, key: source(players, key, options.n, **label))
    with memory.with_advice(f"n is {options.n}: lower it"):
        drawn = ready(draw_all(players, jax.random.key(options.seed)))
    out = options.out or options.run / "figures" / f"sample_{options.seed}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(figures.png(figures.image_grid(drawn, range=module.range)))
    return out


def _labels(options: Sample, classes: int | None) -> dict[str, Any]:
    """What a source of draws is to be told of their classes: nothing, where the model has none."""
    import numpy as np

    if classes is None:
        if options.label is not None:
            raise InputError(f"--label {options.label}: the model in {options.run} is not conditional on a class")
        return {}
    if options.label is None:
        return {"label": np.arange(options.n) % classes}
    if not 0 <= options.label < classes:
        raise InputError(f"--label {options.label}: the classes of {options.run} are 0 to {classes - 1}")
    return {"label": np.full(options.n, options.label)}


def of_run(run: Path) -> Experiment:
    """The experiment that a run belongs to: the one in `experiments/` with its name."""
    from genjax_models.runs import directory

    name = directory.read_config_json(run).get("experiment")
    path = Path(__file__).parent / f"{name}.py"
    if not re.fullmatch(r"[a-z_]+", str(name)) or not path.is_file():
        raise InputError(f"{run}/config.json: names the experiment {name!r}, and there is no experiments/{name}.py")
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(draw(parse(Sample, arguments, "python -m genjax_models.commands.sample", Sample.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
