"""Options of `experiments.any_subset`. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from genjax_models.errors import InputError
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output


@dataclasses.dataclass(frozen=True)
class AnySubset:
    """Compare what finished runs fill in, over the share of pixels that are missing: means over the runs of a model."""

    rbm: tuple[Path, ...] = (Path("runs/rbm"),)
    """Runs of experiments.rbm, such as one per seed."""
    multi_prediction: tuple[Path, ...] = (Path("runs/multi_prediction"),)
    """Runs of experiments.multi_prediction on the same data, with classes: as many as of the RBM."""
    vae: tuple[Path, ...] = (Path("runs/vae"),)
    """Runs of experiments.vae on the same data: as many as of the RBM."""
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9, 0.95)
    """Shares of missing pixels, each pixel at random."""
    sweeps: int = 100
    """Sweeps that Gibbs and pseudo-Gibbs average, after half as many; also the draws of importance sampling."""
    hidden: tuple[int, ...] = (500, 1000)
    """Widths of the two classifiers that are trained here: one with missing pixels, one without."""
    steps: int = 6_000
    """Steps of each classifier."""
    batch_size: int = 100
    """Examples per step."""
    learning_rate: float = 1e-3
    """Learning rate of the classifiers at the start. It falls to 0."""
    seed: int = 0
    """Random seed of masks and classifiers, in [0, 2^32)."""
    to: Path = Path("runs/any_subset.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, sweeps=self.sweeps, hidden=self.hidden, steps=self.steps, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)
        if not self.shares or any(not 0 < share <= 1 for share in self.shares):
            raise InputError(f"shares must be in (0, 1], got {self.shares}")
        seed_in_range(self.seed)
        numbers = len(self.rbm), len(self.multi_prediction), len(self.vae)
        if not 0 < min(numbers) == max(numbers):
            raise InputError(f"rbm, multi_prediction and vae must name equal numbers of runs, got {numbers}")
