"""Samples from the same noise while a run learns, stored on disk, so that a resumed run has them.

They are of the steps of `kept_steps`, and of the newest evaluation.
"""

import hashlib
import io
import itertools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from genjax_models.figures import films, pictures
from genjax_models.figures.pictures import Picture
from genjax_models.runs import directory
from genjax_models.runs.checkpoints import digest_of_file
from genjax_models.runs.evaluation import block_until_ready, players_for_sampling
from genjax_models.runs.kept_steps import is_kept, kept_after
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Players, Shape, TrainState

_SAMPLES = 64
_SHOWN = 8  # steps in the picture that stands still
_FRAMES = 32  # steps in the film
_NOISE = 2**32 - 3  # the noise of every step; no key of a run or of an evaluation is folded with it

Draw = Callable[[Players], Array]


def fixed_noise_draw(system: System, shape: Shape) -> Draw | None:
    """Returns a compiled function, players -> samples `[64, *shape]`; None if examples of this shape are not images."""
    if not pictures.drawable(shape):
        return None
    key = lambda: jax.random.fold_in(jax.random.key(0), np.uint32(_NOISE))
    return jax.jit(lambda players: system.draw(players, key(), _SAMPLES))


class SampleHistory:
    """The stored samples of a run, in `folder`: 8-bit arrays, and a PNG of each stored evaluation."""

    def __init__(
        self, draw: Draw | None, folder: Path, caption: str, range: tuple[float, float], *, slow: bool = False
    ):
        """Begins without samples; with `slow`, the first evaluations after kept steps stand for them."""
        self.draw, self.folder, self.caption, self.range, self.slow = draw, folder, caption, range, slow
        self._evaluations: list[int] = []
        self._own: set[int] = set()  # all steps whose samples were stored
        self._unsynced: set[str] = set()
        self.digests: dict[str, str] = {}  # file name -> sha256

    def append(self, state: TrainState) -> None:
        """Stores samples of the players at an evaluation; `digests` then has no samples too many."""
        if self.draw:
            step = self._store(state)
            self._write(_name(step, "png"), self._png(step))
            self._evaluations.append(step)
            first = {last for before, last in itertools.pairwise(self._evaluations) if kept_after(before) <= last}
            stays = lambda step: is_kept(step) or step == self._evaluations[-1] or (self.slow and step in first)
            self.digests = {name: digest for name, digest in self.digests.items() if stays(_step(name))}

    def keep(self, state: TrainState) -> None:
        """Stores samples of the players at a kept step between evaluations, without a picture."""
        if self.draw and not self.slow:
            self._store(state)

    def resume(self, digests: Mapping[str, str], steps: Sequence[int]) -> None:
        """Continues the samples with these digests after evaluations at `steps`.

        Draws their missing or changed pictures again.
        """
        self.digests, self._evaluations, self._own = {}, list(steps), {*steps, *map(_step, digests)}
        for name, digest in digests.items():
            path = self.folder / name
            self.digests[name] = digest
            if path.suffix == ".png" and not (path.is_file() and digest_of_file(path) == digest):
                self._write(name, self._png(_step(name)))

    def sync(self) -> None:
        """Waits until the samples are on disk."""
        for name in sorted(self._unsynced & {*self.digests}):
            directory.sync(self.folder / name)
        self._unsynced.clear()
        directory.sync(self.folder)

    def delete_others(self, needed: Collection[str]) -> None:
        """Deletes samples of this run that are neither stored nor `needed`."""
        kept = {*self.digests, *needed}
        for path in self.folder.glob("samples_*"):
            own = re.fullmatch(r"samples_[0-9]{8,}\.(npy|png)", path.name) and _step(path.name) in self._own
            if own and path.name not in kept:
                path.unlink()

    def _store(self, state: TrainState) -> int:
        """Stores the array of this state's samples; returns its step."""
        assert self.draw
        images, step = block_until_ready(self.draw(players_for_sampling(state))), int(state.step)
        array = io.BytesIO()
        np.save(array, films.eight_bits(images, self.range))
        self._write(_name(step, "npy"), array.getvalue())
        self._own.add(step)
        return step

    def _load(self, step: int) -> np.ndarray:
        """Returns the samples at a step, in [0, 1]."""
        images = np.load(self.folder / _name(step, "npy"), allow_pickle=False)
        if images.dtype != np.uint8:  # an older version stored the values as they are
            images = films.eight_bits(images, self.range)
        return images / np.float32(255)

    def _png(self, step: int) -> bytes:
        return pictures.samples(self._load(step), step, self.caption, (0, 1)).png

    def _write(self, name: str, content: bytes) -> None:
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_bytes(content)
        self.digests[name] = hashlib.sha256(content).hexdigest()
        self._unsynced.add(name)

    def pictures(self, last: int) -> list[Picture]:
        """Returns the samples after step `last`, and the samples of several steps up to it, still and as a film."""
        if not self.draw:
            return []
        steps = sorted({_step(name) for name in self.digests if _step(name) <= last})
        rows = [(step, self._load(step)) for step in _some(steps, _SHOWN)]
        frames = [(f"step {step:,}", self._load(step)) for step in _some(steps, _FRAMES)]
        learning = pictures.learning(rows, self.caption, (0, 1))
        return [
            pictures.samples(rows[-1][1], last, self.caption, (0, 1)),
            learning._replace(gif=films.film(frames)) if len(frames) > 1 else learning,
        ]


def _some(steps: Sequence[int], most: int) -> list[int]:
    """Returns at most so many of the steps, at equal distances in their order, with the first and the last."""
    places = np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)
    return [steps[place] for place in sorted(set(places))]


def _name(step: int, kind: str) -> str:
    return f"samples_{step:08d}.{kind}"


def _step(name: str) -> int:
    return int(name.partition(".")[0].split("_")[1])
