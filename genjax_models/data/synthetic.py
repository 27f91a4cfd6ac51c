"""Data in the plane of known density: x = c + scale * eps, eps ~ N(0, I), with c one of a few points or on a curve.

    p(x) = E_c N(x; c, scale^2 I)

is a sum over points, or an integral along curves.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.splits import Split

SIZES = (10_000, 2_000, 2_000)
_CURVE_NODES = 400  # for each curve: at half the noise apart the sum equals the integral to 1e-12


class Modes(NamedTuple):
    """Gaussian modes of equal weight: `centres` `[m, 2]`, and their common standard deviation `scale`."""

    centres: np.ndarray
    scale: float

    def draw(self, random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns n centres `[n, 2]`, and the index of each one's mode, `[n]`."""
        label = random.randint(len(self.centres), size=n)
        return self.centres[label], label

    def rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns points `[m, 2]` and weights `[m]`, by which E_c is a sum."""
        return self.centres, np.full(len(self.centres), 1 / len(self.centres))


class Curves(NamedTuple):
    """Curves of equal weight: `curve(t, which)` is the centre `[n, 2]` at t `[n]`, uniform in [0, 1]."""

    curve: Callable[[np.ndarray, np.ndarray], np.ndarray]
    count: int
    scale: float

    def draw(self, random: np.random.RandomState, n: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns n centres `[n, 2]`, and the index of each one's curve, `[n]`, if there are several curves."""
        which = random.randint(self.count, size=n)
        return self.curve(random.uniform(size=n), which), which if self.count > 1 else None

    def rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns points `[m, 2]` and weights `[m]`, by which E_c is a sum: Gauss-Legendre quadrature on each curve."""
        nodes, weights = np.polynomial.legendre.leggauss(_CURVE_NODES)
        which = np.repeat(np.arange(self.count), _CURVE_NODES)
        t = np.tile((nodes + 1) / 2, self.count)
        return self.curve(t, which), np.tile(weights / 2, self.count) / self.count


def _circle(angle: np.ndarray, radius: float | np.ndarray = 1.0) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _moon(t: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Two interleaved half circles of radius 1, centred on the origin."""
    upper = _circle(np.pi * t) - (0.5, 0.25)
    return np.where(which[:, None] == 0, upper, -upper)


def _spiral(t: np.ndarray, which: np.ndarray) -> np.ndarray:
    """One arm of one and a half turns whose radius grows from 0.4 to 2.4."""
    return _circle(3 * np.pi * t, 0.4 + 2 * t)


# Eight modes on a circle: Metz, Poole, Pfau and Sohl-Dickstein, 2017. Twenty-five on a grid: Srivastava et al., 2017,
# with the spacing and the noise of Lin et al., 2018.
RING8 = Modes(_circle(2 * np.pi * np.arange(8) / 8, 2.0), scale=0.02)
GRID25 = Modes(2.0 * np.stack(np.divmod(np.arange(25), 5), axis=-1) - 4, scale=0.05)
MOONS = Curves(_moon, count=2, scale=0.1)
SPIRAL = Curves(_spiral, count=1, scale=0.1)

SOURCES: dict[str, Modes | Curves] = {"moons": MOONS, "spiral": SPIRAL, "ring8": RING8, "grid25": GRID25}
_SEEDS = {name: seed for seed, name in enumerate(SOURCES)}
_IN_WORDS = {
    "moons": "two half circles of radius 1, at uniform angles",
    "spiral": "one arm of 1.5 turns whose radius grows from 0.4 to 2.4, at uniform angles",
    "ring8": "8 modes on a circle of radius 2",
    "grid25": "25 modes on a grid of spacing 2",
}


def synthetic(name: str) -> Dataset:
    """Returns 10,000 training, 2,000 validation and 2,000 test points, float32 `[n, 2]`, the same at every call.

    The label is the mode or the moon of a point; the spiral has none. The range is [-r, r] with the smallest whole r
    that holds all points.
    """
    source, random = SOURCES[name], np.random.RandomState(_SEEDS[name])  # numpy's frozen generator
    splits = []
    for size in SIZES:
        centres, label = source.draw(random, size)
        splits.append(Split((centres + source.scale * random.normal(size=centres.shape)).astype(np.float32), label))
    reach = float(np.ceil(max(np.abs(split.x).max() for split in splits)))
    provenance = (
        f"{_IN_WORDS[name]}, with Gaussian noise of standard deviation {source.scale:g}; drawn by"
        f" RandomState({_SEEDS[name]})"
    )
    return from_splits(*splits, name=name, range=(-reach, reach), provenance=provenance)


def log_density(name: str, x: np.ndarray) -> np.ndarray:
    """Returns log p(x) of the data's own distribution, `[n]`, nats, in float64, for points `[n, 2]` in its range.

    A model exceeds its mean over held-out data only by chance. The density is closed for "ring8" and "grid25"; for
    "moons" and "spiral" it is a quadrature with an error of 1e-9.
    """
    source = SOURCES[name]
    points, weights = source.rule()
    scaled = [(np.asarray(x, np.float64)[:, i, None] - points[:, i]) / source.scale for i in range(2)]
    log_terms = np.log(weights) - 0.5 * (scaled[0] ** 2 + scaled[1] ** 2)
    return np.logaddexp.reduce(log_terms, axis=1) - np.log(2 * np.pi * source.scale**2)
