"""Samples from the same noise at each evaluation, stored on disk, so that a resumed run has all of them."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from genjax_models.figures import pictures
from genjax_models.figures.pictures import Picture
from genjax_models.runs.evaluation import block_until_ready, players_for_sampling
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Players, Shape, TrainState

_SAMPLES = 64
_NOISE = 2**32 - 3  # the noise of every evaluation; no key of a run or of an evaluation is folded with it

Draw = Callable[[Players], Array]


def fixed_noise_draw(system: System, shape: Shape) -> Draw | None:
    """Returns a compiled function, players -> samples `[64, *shape]`; None if examples of this shape are not images."""
    if not pictures.drawable(shape):
        return None
    key = lambda: jax.random.fold_in(jax.random.key(0), np.uint32(_NOISE))
    return jax.jit(lambda players: system.draw(players, key(), _SAMPLES))


class SampleHistory:
    """The stored samples of a run, in `folder`."""

    def __init__(self, draw: Draw | None, folder: Path, caption: str, range: tuple[float, float]):
        self.draw, self.folder, self.caption, self.range = draw, folder, caption, range

    def append(self, state: TrainState) -> None:
        """Draws samples from the players of this state, and stores them."""
        if self.draw:
            images, step = np.asarray(block_until_ready(self.draw(players_for_sampling(state)))), int(state.step)
            picture = pictures.samples(images, step, self.caption, self.range)
            (self.folder / f"samples_{step:08d}.png").write_bytes(picture.png)
            np.save(self.folder / f"samples_{step:08d}.npy", images)

    def pictures(self, last: int) -> list[Picture]:
        """Returns the samples after step `last`, and the samples of several steps up to it."""
        if not self.draw:
            return []
        paths = sorted(self.folder.glob("samples_*.npy"))
        steps = [(int(path.stem.split("_")[1]), path) for path in paths]
        stored = [(step, np.load(path, allow_pickle=False)) for step, path in steps if step <= last]
        return [
            pictures.samples(stored[-1][1], last, self.caption, self.range),
            pictures.learning(stored, self.caption, self.range),
        ]
