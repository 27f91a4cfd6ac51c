"""Samples from the same noise at each evaluation, stored on disk, so that a resumed run has all of them."""

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np

from genjax_models.figures import pictures
from genjax_models.figures.pictures import Picture
from genjax_models.runs import directory
from genjax_models.runs.checkpoints import digest_of_file
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
        self.digests: dict[str, str] = {}  # file name -> sha256

    def append(self, state: TrainState) -> None:
        """Draws samples from the players of this state, and stores them."""
        if self.draw:
            images, step = np.asarray(block_until_ready(self.draw(players_for_sampling(state)))), int(state.step)
            array = io.BytesIO()
            np.save(array, images)
            self._write(f"samples_{step:08d}.npy", array.getvalue())
            self._write(f"samples_{step:08d}.png", pictures.samples(images, step, self.caption, self.range).png)

    def resume(self, digests: Mapping[str, str]) -> None:
        """Continues the samples with these digests; draws their missing or changed pictures again."""
        self.digests = {}
        for name, digest in digests.items():
            path = self.folder / name
            self.digests[name] = digest
            if path.suffix == ".png" and not (path.is_file() and digest_of_file(path) == digest):
                images = np.load(path.with_suffix(".npy"), allow_pickle=False)
                step = int(path.stem.split("_")[1])
                self._write(name, pictures.samples(images, step, self.caption, self.range).png)

    def sync(self) -> None:
        """Waits until the samples are on disk."""
        for name in list(self.digests)[-2:]:  # the others were synced before
            directory.sync(self.folder / name)
        directory.sync(self.folder)

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_bytes(content)
        self.digests[name] = hashlib.sha256(content).hexdigest()

    def pictures(self, last: int) -> list[Picture]:
        """Returns the samples after step `last`, and the samples of several steps up to it."""
        if not self.draw:
            return []
        names = sorted(name for name in self.digests if name.endswith(".npy"))
        steps = [(int(name.removesuffix(".npy").split("_")[1]), self.folder / name) for name in names]
        stored = [(step, np.load(path, allow_pickle=False)) for step, path in steps if step <= last]
        return [
            pictures.samples(stored[-1][1], last, self.caption, self.range),
            pictures.learning(stored, self.caption, self.range),
        ]
