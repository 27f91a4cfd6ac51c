"""Exact properties of orbits of the bilinear game. Imports no jax, so that --help is quick."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def factors(eta: float, gamma: float) -> dict[str, float]:
    """Returns the factor by which a step multiplies the radius, for each method with a constant factor.

    Args:
      eta: learning rate of both players, at most 0.5.
      gamma: weight of consensus.
    """
    return {
        "simultaneous": math.sqrt(1 + eta**2),
        "extragradient": math.sqrt(1 - eta**2 + eta**4),
        "optimistic": math.sqrt((1 + math.sqrt(1 - 4 * eta**2)) / 2),
        "consensus": math.sqrt((1 - eta * gamma) ** 2 + eta**2),
    }


def circle(start: tuple[float, float], eta: float, steps: int) -> np.ndarray:
    """Returns the orbit in continuous time, `[1 + steps, 2]`: a = a0 cos t - b0 sin t, b = b0 cos t + a0 sin t."""
    import numpy as np

    (a, b), t = start, eta * np.arange(1 + steps)
    return np.stack([a * np.cos(t) - b * np.sin(t), b * np.cos(t) + a * np.sin(t)], axis=-1)


def conserved(eta: float, points: np.ndarray | tuple[float, float]) -> np.ndarray:
    """Returns a^2 + b^2 - eta a b of points (a, b) `[..., 2]`, which alternating moves conserve."""
    import numpy as np

    a, b = np.moveaxis(np.asarray(points), -1, 0)
    return a**2 + b**2 - eta * a * b
