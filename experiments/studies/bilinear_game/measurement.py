"""Orbits of the bilinear game by six methods, compared with theory. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from experiments.studies.bilinear_game.theory import circle, conserved, factors
from genjax_models.errors import InputError
from genjax_models.runs.configuration import positive, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np

_LARGEST = 1e15  # radius that simultaneous moves may reach
_SMALLEST = 1e-30  # radius below which a factor is not measured
_SETTLED = 100  # steps until optimistic gradients forget their start


@dataclasses.dataclass(frozen=True)
class BilinearGame:
    """Play v(a, b) = a b by six gradient methods, compare the orbits with theory, and draw them."""

    eta: float = 0.3
    """Learning rate of both players, below 0.5, so that optimistic gradients settle."""
    steps: int = 200
    """Steps of each method, at least 200."""
    start: tuple[float, float] = (1.0, 1.0)
    """First point (a, b)."""
    gamma: float = 1.0
    """Weight of consensus."""
    refinement: int = 100
    """Alternating moves per step of continuous time."""
    to: Path = Path("runs/bilinear_game.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        positive(eta=self.eta, gamma=self.gamma)
        whole(2 * _SETTLED, steps=self.steps)
        whole(1, refinement=self.refinement)
        if self.eta >= 0.5:
            raise InputError(f"eta must be below 0.5, so that optimistic gradients settle, got {self.eta!r}")
        radius, factor = math.hypot(*self.start), factors(self.eta, self.gamma)
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"start must be finite and not the equilibrium (0, 0), got {self.start}")
        if factor["consensus"] >= 1:
            raise InputError(f"gamma must make (1 - eta gamma)^2 + eta^2 less than 1 for a cure, got {self.gamma!r}")
        if math.log(radius) + self.steps * math.log(factor["simultaneous"]) > math.log(_LARGEST):
            raise InputError(f"steps must keep simultaneous moves within a radius of {_LARGEST:g}, got {self.steps}")


class Comparison(NamedTuple):
    """A quantity of a method's orbit: its exact value, and the least and largest value over all steps."""

    method: str
    quantity: str
    exact: float
    least: float
    largest: float


def play(options: BilinearGame) -> dict[str, np.ndarray]:
    """Returns the orbit of each method: (a, b) at each step, `[1 + steps, 2]`."""
    import optax

    from experiments.studies.bilinear_game.game import bilinear_game, consensus, extragradient, opposed, orbit

    descent, optimistic = optax.sgd(options.eta), optax.optimistic_gradient_descent(options.eta)
    fine = optax.sgd(options.eta / options.refinement)
    start, steps = options.start, options.steps
    plain = bilinear_game(start, opposed)
    return {
        "simultaneous": orbit(plain, descent, steps, simultaneous=True),
        "alternating": orbit(plain, descent, steps),
        "continuous": orbit(plain, fine, steps * options.refinement)[:: options.refinement],
        "extragradient": orbit(bilinear_game(start, extragradient(options.eta)), descent, steps, simultaneous=True),
        "optimistic": orbit(plain, optimistic, steps, simultaneous=True),
        "consensus": orbit(bilinear_game(start, consensus(options.gamma)), descent, steps, simultaneous=True),
    }


def measure(options: BilinearGame, orbits: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Compares each orbit with theory, over all steps."""
    import numpy as np

    def compared(method, quantity, exact, values):
        return Comparison(method, quantity, exact, float(np.min(values)), float(np.max(values)))

    rows = []
    for method, factor in factors(options.eta, options.gamma).items():
        radius = np.linalg.norm(orbits[method][_SETTLED if method == "optimistic" else 0 :], axis=1)
        radius = radius[radius > _SMALLEST]
        rows.append(compared(method, "factor of the radius", factor, radius[1:] / radius[:-1]))
    alternating, continuous, eta = orbits["alternating"], orbits["continuous"], options.eta
    invariant, radius = float(conserved(eta, options.start)), math.hypot(*options.start)
    distance = np.linalg.norm(continuous - circle(options.start, eta, options.steps), axis=1)
    rows[1:1] = [
        compared("alternating", "a^2 + b^2 - eta a b", invariant, conserved(eta, alternating)),
        compared("continuous", "radius", radius, np.linalg.norm(continuous, axis=1)),
        compared("continuous", "distance from the exact point", 0.0, distance),
    ]
    return rows
