"""Samples from the same noise at evaluations, stored on disk, so that a resumed run has them.

At most 17 evaluations are stored, however many there are: the first of each 1, 2, 4, 8, ... evaluations, and the last.
"""

import hashlib
import io
import re
from collections.abc import Callable, Collection, Mapping, Sequence
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
_STORED = 16  # evaluations, beside the last
_SHOWN = 8  # evaluations in one picture
_NOISE = 2**32 - 3  # the noise of every evaluation; no key of a run or of an evaluation is folded with it

Draw = Callable[[Players], Array]


def fixed_noise_draw(system: System, shape: Shape) -> Draw | None:
    """Returns a compiled function, players -> samples `[64, *shape]`; None if examples of this shape are not images."""
    if not pictures.drawable(shape):
        return None
    key = lambda: jax.random.fold_in(jax.random.key(0), np.uint32(_NOISE))
    return jax.jit(lambda players: system.draw(players, key(), _SAMPLES))


def stored_of(steps: Sequence[int]) -> list[int]:
    """Returns the steps whose samples are stored, when the evaluations are those at `steps`."""
    spacing = 1
    while len(steps) > _STORED * spacing:
        spacing *= 2
    return list(dict.fromkeys([*steps[::spacing], *steps[-1:]]))


class SampleHistory:
    """The stored samples of a run, in `folder`."""

    def __init__(self, draw: Draw | None, folder: Path, caption: str, range: tuple[float, float]):
        self.draw, self.folder, self.caption, self.range = draw, folder, caption, range
        self.steps: list[int] = []  # of all evaluations
        self._own: set[int] = set()
        self.digests: dict[str, str] = {}  # file name -> sha256

    def append(self, state: TrainState) -> None:
        """Draws samples from the players of this state, and stores them. `digests` then has no samples too many."""
        if self.draw:
            images, step = np.asarray(block_until_ready(self.draw(players_for_sampling(state)))), int(state.step)
            array = io.BytesIO()
            np.save(array, images)
            self._write(_name(step, "npy"), array.getvalue())
            self._write(_name(step, "png"), pictures.samples(images, step, self.caption, self.range).png)
            self.steps.append(step)
            self._own.add(step)
            stored = [_name(step, kind) for step in stored_of(self.steps) for kind in ("npy", "png")]
            self.digests = {name: self.digests[name] for name in stored if name in self.digests}

    def resume(self, digests: Mapping[str, str], steps: Sequence[int]) -> None:
        """Continues the samples with these digests after evaluations at `steps`.

        Draws their missing or changed pictures again.
        """
        self.digests, self.steps, self._own = {}, list(steps), set(steps)
        for name, digest in digests.items():
            path = self.folder / name
            self.digests[name] = digest
            if path.suffix == ".png" and not (path.is_file() and digest_of_file(path) == digest):
                images = np.load(path.with_suffix(".npy"), allow_pickle=False)
                step = _step(name)
                self._write(name, pictures.samples(images, step, self.caption, self.range).png)

    def sync(self) -> None:
        """Waits until the samples are on disk."""
        for name in list(self.digests)[-2:]:  # the others were synced before
            directory.sync(self.folder / name)
        directory.sync(self.folder)

    def delete_others(self, needed: Collection[str]) -> None:
        """Deletes samples of this run's evaluations that are neither stored nor `needed`."""
        kept = {*self.digests, *needed}
        for path in self.folder.glob("samples_*"):
            own = re.fullmatch(r"samples_[0-9]{8,}\.(npy|png)", path.name) and _step(path.name) in self._own
            if own and path.name not in kept:
                path.unlink()

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_bytes(content)
        self.digests[name] = hashlib.sha256(content).hexdigest()

    def pictures(self, last: int) -> list[Picture]:
        """Returns the samples after step `last`, and the samples of several steps up to it."""
        if not self.draw:
            return []
        steps = sorted(step for step in {_step(name) for name in self.digests} if step <= last)
        load = lambda step: np.load(self.folder / _name(step, "npy"), allow_pickle=False)
        shown = sorted(set(np.linspace(0, len(steps) - 1, min(_SHOWN, len(steps))).round().astype(int)))
        return [
            pictures.samples(load(steps[-1]), last, self.caption, self.range),
            pictures.learning([(steps[i], load(steps[i])) for i in shown], self.caption, self.range),
        ]


def _name(step: int, kind: str) -> str:
    return f"samples_{step:08d}.{kind}"


def _step(name: str) -> int:
    return int(name.partition(".")[0].split("_")[1])
