"""The game v(a, b) = a b, where a descends and b ascends (20.10.4): gradient descent may never find an equilibrium.

python -m experiments.studies.bilinear_game

                                                    exact    least seen  largest seen
simultaneous   factor of the radius              1.044031      1.044031      1.044031
alternating    a^2 + b^2 - eta a b               1.700000      1.700000      1.700001
continuous     radius                            1.414214      1.412095      1.414219
continuous     distance from the exact point     0.000000      0.000000      0.002119
extragradient  factor of the radius              0.958175      0.958175      0.958175
optimistic     factor of the radius              0.948683      0.948683      0.948683
consensus      factor of the radius              0.761577      0.761577      0.761577

200 steps of rate 0.3, in float32, 5 s with imports and the picture, which is pictures/bilinear_game.png. 2 cores of AMD
EPYC shared with other work (jax 0.10.2, CPU), 2026-11-21

With rate eta, from (a, b) of radius r = sqrt(a^2 + b^2), a step is a linear map, so that everything is known:

- simultaneous moves: r grows by sqrt(1 + eta^2), whatever the rate;
- alternating moves, a first: a^2 + b^2 - eta a b stays as it is, an ellipse, and a step turns by arccos(1 - eta^2 / 2);
- continuous time, da/dt = -b, db/dt = a: a circle. Drawn as alternating moves of a rate that is `refinement` times
  smaller, which lie within one such rate, times r, of the circle;

and three cures, each with simultaneous moves, whose radius shrinks by a constant factor:

- extragradient (Korpelevich, 1976), gradients taken where a step would lead: sqrt(1 - eta^2 + eta^4);
- optimistic gradients (Daskalakis et al., 2018), 2 g_t - g_{t-1} in the place of g_t, after the first steps:
  sqrt((1 + sqrt(1 - 4 eta^2)) / 2);
- consensus (Mescheder et al., 2017), each loss with gamma / 2 times the squared norm of both gradients:
  sqrt((1 - eta gamma)^2 + eta^2).
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole

if TYPE_CHECKING:
    import numpy as np
    import optax
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from genjax_models.types import Array, Objective, Players

    Losses = Callable[[Array, Array], tuple[Array, Array]]  # (a, b) -> the loss of each

_LARGEST, _SMALLEST = 1e15, 1e-30  # radii beyond which nothing is played, or measured
_SETTLED = 100  # steps after which optimistic gradients have forgotten how they began
_COLOURS = {
    "simultaneous": "#e07a1f",
    "alternating": "#2364aa",
    "continuous": "#7b8794",
    "extragradient": "#009e73",
    "optimistic": "#cc79a7",
    "consensus": "#b8860b",
}


@dataclasses.dataclass(frozen=True)
class BilinearGame:
    """Play v(a, b) = a b by gradient descent in several ways; print what is known beside what is seen; draw orbits."""

    eta: float = 0.3
    """Rate of both players, below 0.5, where optimistic gradients settle."""
    steps: int = 200
    """Of each way, at least 200."""
    start: tuple[float, float] = (1.0, 1.0)
    """(a, b) at first."""
    gamma: float = 1.0
    """Weight of consensus."""
    refinement: int = 100
    """Alternating moves in a step of continuous time."""
    out: Path = Path("runs/bilinear_game.png")
    """The picture."""

    def __post_init__(self):
        positive(eta=self.eta, gamma=self.gamma)
        whole(2 * _SETTLED, steps=self.steps)
        whole(1, refinement=self.refinement)
        if self.eta >= 0.5:
            raise InputError(f"eta must be below 0.5, where optimistic gradients settle, got {self.eta!r}")
        radius, factor = math.hypot(*self.start), factors(self)
        if not (math.isfinite(radius) and radius > 0):
            raise InputError(f"start must be finite and another point than the equilibrium (0, 0), got {self.start}")
        if factor["consensus"] >= 1:
            raise InputError(f"gamma must make (1 - eta gamma)^2 + eta^2 less than 1 to be a cure, got {self.gamma!r}")
        if math.log(radius) + self.steps * math.log(factor["simultaneous"]) > math.log(_LARGEST):
            raise InputError(f"steps must end simultaneous moves within a radius of {_LARGEST:g}, got {self.steps}")


class Known(NamedTuple):
    """What theory says of a way: a name, its value, and the least and the largest that was seen of it."""

    way: str
    what: str
    value: float
    least: float
    largest: float


def factors(options: BilinearGame) -> dict[str, float]:
    """What the radius is multiplied by in a step, for each way where that is a constant."""
    eta, gamma = options.eta, options.gamma
    return {
        "simultaneous": math.sqrt(1 + eta**2),
        "extragradient": math.sqrt(1 - eta**2 + eta**4),
        "optimistic": math.sqrt((1 + math.sqrt(1 - 4 * eta**2)) / 2),
        "consensus": math.sqrt((1 - eta * gamma) ** 2 + eta**2),
    }


def play(options: BilinearGame) -> dict[str, np.ndarray]:
    """The orbit of each way: (a, b) at each step, `[1 + steps, 2]`."""
    import optax

    descent, optimistic = optax.sgd(options.eta), optax.optimistic_gradient_descent(options.eta)
    fine = optax.sgd(options.eta / options.refinement)
    game, steps = game_from(options.start, opposed), options.steps
    return {
        "simultaneous": orbit(game, descent, steps, simultaneous=True),
        "alternating": orbit(game, descent, steps),
        "continuous": orbit(game, fine, steps * options.refinement)[:: options.refinement],
        "extragradient": orbit(game_from(options.start, looking_ahead(options.eta)), descent, steps, simultaneous=True),
        "optimistic": orbit(game, optimistic, steps, simultaneous=True),
        "consensus": orbit(game_from(options.start, in_consensus(options.gamma)), descent, steps, simultaneous=True),
    }


def value(a: Array, b: Array) -> Array:
    """v(a, b)."""
    return a * b


def opposed(a: Array, b: Array) -> tuple[Array, Array]:
    """The losses of a and b: v and -v."""
    return value(a, b), -value(a, b)


def slopes(a: Array, b: Array) -> tuple[Array, Array]:
    """The gradient of each player's loss in its own parameter."""
    import jax

    return jax.grad(value, 0)(a, b), -jax.grad(value, 1)(a, b)


def looking_ahead(eta: float | Array) -> Losses:
    """Losses whose gradients are those after a step of rate eta: with that rate, extragradient."""
    import jax

    def losses(a, b):
        slope_a, slope_b = slopes(a, b)
        ahead_a, ahead_b = jax.lax.stop_gradient(slopes(a - eta * slope_a, b - eta * slope_b))
        return a * ahead_a, b * ahead_b

    return losses


def in_consensus(gamma: float | Array) -> Losses:
    """Losses of players who also lower gamma / 2 times the squared norm of both gradients."""

    def losses(a, b):
        slope_a, slope_b = slopes(a, b)
        unrest = gamma / 2 * (slope_a**2 + slope_b**2)
        return tuple(loss + unrest for loss in opposed(a, b))

    return losses


def game_from(start: tuple[float, float], losses: Losses) -> Objective:
    """Players "a" and "b", of a number "at" each; a moves first. Nothing is drawn from data or noise."""
    import jax.numpy as jnp

    from genjax_models.types import Aux, Objective

    def loss_of(player):
        def loss(variables, key, batch, step):
            return losses(*(variables[name]["params"]["at"] for name in "ab"))["ab".index(player)], Aux()

        return loss

    return Objective(
        init=lambda key, batch: {
            player: {"params": {"at": jnp.float32(at)}} for player, at in zip("ab", start, strict=True)
        },
        losses={player: loss_of(player) for player in "ab"},
        sample=lambda variables, key, n, *, label=None: jnp.zeros((n, 0)),
    )


def orbit(
    game: Objective, optimizer: optax.GradientTransformation, steps: int, *, simultaneous: bool = False
) -> np.ndarray:
    """(a, b) from the start on, `[1 + steps, 2]`."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import genjax_models as gx

    train, nothing = gx.trainer(game, dict.fromkeys("ab", optimizer), simultaneous=simultaneous), gx.Batch(jnp.zeros(1))

    def step(state, _):
        state, _ = train.step(state, nothing)
        return state, _at(state.variables)

    @jax.jit
    def run():
        state = train.init(jax.random.key(0), nothing)
        return _at(state.variables), jax.lax.scan(step, state, length=steps)[1]

    first, rest = run()
    return np.concatenate([np.asarray(first, np.float64)[None], np.asarray(rest, np.float64)])


def _at(variables: Players) -> Array:
    import jax.numpy as jnp

    return jnp.stack([variables[player]["params"]["at"] for player in "ab"])


def circle(options: BilinearGame) -> np.ndarray:
    """The exact orbit in continuous time, `[1 + steps, 2]`: a = a0 cos t - b0 sin t, b = b0 cos t + a0 sin t."""
    import numpy as np

    (a, b), t = options.start, options.eta * np.arange(1 + options.steps)
    return np.stack([a * np.cos(t) - b * np.sin(t), b * np.cos(t) + a * np.sin(t)], axis=-1)


def conserved(options: BilinearGame, at: np.ndarray | tuple[float, float]) -> np.ndarray | float:
    """a^2 + b^2 - eta a b of (a, b) `[..., 2]`, which alternating moves keep."""
    import numpy as np

    a, b = np.moveaxis(np.asarray(at), -1, 0)
    return a**2 + b**2 - options.eta * a * b


def measure(options: BilinearGame, orbits: Mapping[str, np.ndarray]) -> list[Known]:
    """What is known of each orbit, beside what was seen of it over all steps."""
    import numpy as np

    def seen(way, what, value, values):
        return Known(way, what, value, float(np.min(values)), float(np.max(values)))

    rows = []
    for way, factor in factors(options).items():
        radius = np.linalg.norm(orbits[way][_SETTLED if way == "optimistic" else 0 :], axis=1)
        radius = radius[radius > _SMALLEST]
        rows.append(seen(way, "factor of the radius", factor, radius[1:] / radius[:-1]))
    alternating, continuous = orbits["alternating"], orbits["continuous"]
    invariant, radius = float(conserved(options, options.start)), math.hypot(*options.start)
    rows[1:1] = [
        seen("alternating", "a^2 + b^2 - eta a b", invariant, conserved(options, alternating)),
        seen("continuous", "radius", radius, np.linalg.norm(continuous, axis=1)),
        seen("continuous", "distance from the exact point", 0.0, np.linalg.norm(continuous - circle(options), axis=1)),
    ]
    return rows


def table(rows: Sequence[Known]) -> str:
    """A line for each."""
    lines = [f"{'':15s}{'':32s}{'exact':>10s}{'least seen':>14s}{'largest seen':>14s}"]
    lines += [f"{r.way:15s}{r.what:32s}{r.value:>10.6f}{r.least:>14.6f}{r.largest:>14.6f}" for r in rows]
    return "\n".join(lines)


def picture(options: BilinearGame, orbits: Mapping[str, np.ndarray]) -> Figure:
    """The orbits without a cure and with one, and the radius over steps with what is known of it."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 4.4), layout="constrained")
    bare, cured, radii = figure.subplots(1, 3)
    names = list(orbits)
    _plane(bare, options, {name: orbits[name] for name in names[:3]}, "gradient descent", reach=2.5)
    _plane(cured, options, {name: orbits[name] for name in names[3:]}, "with a cure", reach=1.4)
    steps = np.arange(1 + options.steps)
    for name in names:
        radii.plot(steps, np.linalg.norm(orbits[name], axis=1), color=_COLOURS[name], linewidth=1.4, label=name)
    for i, factor in enumerate(factors(options).values()):
        exact = math.hypot(*options.start) * factor**steps
        radii.plot(steps, exact, ":", color="#1f2933", linewidth=1, label=None if i else "exact factor")
    radii.set_yscale("log")
    radii.set_ylim(1e-5 * math.hypot(*options.start))
    radii.set_xlabel("step")
    radii.set_ylabel("radius")
    radii.set_title("distance from the equilibrium", fontsize=10)
    radii.legend(frameon=False, fontsize=8)
    for axes in (bare, cured, radii):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.25)
    return figure


def _plane(axes: Axes, options: BilinearGame, orbits: Mapping[str, np.ndarray], title: str, *, reach: float) -> None:
    """Orbits within `reach` times the radius of the start."""
    for name, at in orbits.items():
        axes.plot(*at.T, "-", color=_COLOURS[name], linewidth=1.1, marker=".", markersize=2.5, label=name)
    axes.plot(*options.start, "o", color="#1f2933", markersize=5)
    axes.plot(0, 0, "+", color="#1f2933", markersize=9)
    limit = reach * math.hypot(*options.start)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_aspect("equal")
    axes.set_xlabel("a")
    axes.set_ylabel("b")
    axes.set_title(title, fontsize=10)
    axes.legend(edgecolor="none", framealpha=0.9, fontsize=8, loc="lower right")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        options = parse(BilinearGame, arguments, "python -m experiments.studies.bilinear_game", BilinearGame.__doc__)
        orbits = play(options)
        from genjax_models.runs import figures

        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_bytes(figures.png(picture(options, orbits)))
        print(table(measure(options, orbits)))
        print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
