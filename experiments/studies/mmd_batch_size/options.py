"""Options of the study of batch sizes. Imports no jax, so that --help is quick."""

import dataclasses
from pathlib import Path

from genjax_models.errors import InputError
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output


@dataclasses.dataclass(frozen=True)
class MMDBatchSize:
    """Measure both MMD estimators, generators that learn by them, and the time of a step, by batch size."""

    batch_sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    """Batch sizes in rising order, at least 2. A step has equal numbers of samples and examples."""
    bandwidth: float = 1.0
    """Bandwidth of the Gaussian kernel."""
    scale: float = 0.8
    """Standard deviation of the samples in the estimates of the MMD; the data have 1."""
    repeats: int = 200
    """Number of estimates per batch size, at least 2."""
    seeds: int = 8
    """Number of generators per estimator and batch size, at least 2."""
    steps: int = 500
    """Training steps of a generator."""
    largest_learned: int = 1024
    """Largest batch size at which generators learn; all batch sizes have estimates and times."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    to: Path = Path("runs/mmd_batch_size.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(2, batch_sizes=self.batch_sizes, repeats=self.repeats, seeds=self.seeds)
        whole(1, number_of_batch_sizes=len(self.batch_sizes), steps=self.steps)
        positive(bandwidth=self.bandwidth, scale=self.scale)
        seed_in_range(self.seed)
        if list(self.batch_sizes) != sorted(set(self.batch_sizes)):
            raise InputError(f"batch_sizes must be in rising order, got {self.batch_sizes}")
        whole(min(self.batch_sizes), largest_learned=self.largest_learned)
