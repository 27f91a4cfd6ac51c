"""Samples from fixed noise at each evaluation, to see learning by; on disk, so that a resumed run has all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from genjax_models.runs import pictures
from genjax_models.runs.command_line import Experiment
from genjax_models.runs.fit import players_for_sampling, ready
from genjax_models.runs.pictures import Picture
from genjax_models.types import Array, Players, TrainState

_SAMPLES = 64
_NOISE = 2**32 - 3  # the key of pictures, beside that of evaluation: the same noise at every evaluation

Draw = Callable[[Players], Array]


def drawer(experiment: Experiment, config: Any) -> Draw | None:
    """Players -> samples; None where examples are not images that can be shown."""
    if not pictures.drawable(config.shape):
        return None
    draw = experiment.images(config)
    return jax.jit(lambda players: draw(players, jax.random.fold_in(jax.random.key(0), np.uint32(_NOISE)), _SAMPLES))


class Gallery:
    """What `draw` shows of a run, in `folder`."""

    def __init__(self, experiment: Experiment, draw: Draw | None, folder: Path):
        self.experiment, self.draw, self.folder = experiment, draw, folder

    def look(self, state: TrainState) -> None:
        """Adds what is drawn now."""
        if self.draw:
            images, step = np.asarray(ready(self.draw(players_for_sampling(state)))), int(state.step)
            picture = pictures.samples(images, step, self.experiment.images_are, self.experiment.range)
            (self.folder / f"samples_{step:08d}.png").write_bytes(picture.png)
            np.save(self.folder / f"samples_{step:08d}.npy", images)

    def pictures(self, last: int) -> list[Picture]:
        """Samples after step `last`, and how they came about."""
        if not self.draw:
            return []
        paths = sorted(self.folder.glob("samples_*.npy"))
        seen = [(int(path.stem.split("_")[1]), path) for path in paths]
        seen = [(step, np.load(path, allow_pickle=False)) for step, path in seen if step <= last]
        shown, range = self.experiment.images_are, self.experiment.range
        return [pictures.samples(seen[-1][1], last, shown, range), pictures.learning(seen, shown, range)]
