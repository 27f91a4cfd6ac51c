"""A game that is convex over densities, and need not be convex over the weights of a network (20.10.4).

python -m experiments.studies.density_space

max_d v(g, d) is convex in the density of g (Goodfellow et al., 2014). With the best discriminator at every step,
descent on the density itself reaches the data from every start. The same value, as a function of a network's weights,
is not convex. Both sides descend on the same value, v(g) = 2 JSD(data, g) - log 4, on 32 states, exactly:

                       arrived    median JSD   largest JSD
on densities          40 of 40       2.4e-08       5.4e-08
through a network      9 of 40          0.22          0.22

A start has arrived with a JSD below 0.01 nats. The other 31 networks have all of their density at one of the two modes.
13 seconds, AMD EPYC (jax 0.10.2, CPU), 2026-11-29.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.types import Array, PRNGKey, Variables

STATES, NOISE, WIDTH = 32, 256, 1.0  # values of x, of z, and standard deviation of x given z, in states
CENTRES = (8.0, 24.0)  # of the data
CLOSE = 0.01  # JSD in nats from which a start counts as arrived


@dataclasses.dataclass(frozen=True)
class DensitySpace:
    """Descend on the value of the game from many starts: on densities, and on the weights of a generator."""

    starts: int = 40
    """Number of starts of each."""
    steps: int = 5_000
    """Steps of gradient descent."""
    hidden: int = 16
    """Hidden units of the generator."""
    density_rate: float = 0.1
    """Learning rate on the density (mirror descent)."""
    network_rate: float = 0.01
    """Learning rate on the weights (Adam)."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    to: Path = Path("runs/density_space.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, starts=self.starts, steps=self.steps, hidden=self.hidden)
        positive(density_rate=self.density_rate, network_rate=self.network_rate)
        seed_in_range(self.seed)


class Descents(NamedTuple):
    """JSD to the data in nats, `[starts, steps + 1]`, and the densities at the end, `[starts, 32]`."""

    divergence: np.ndarray
    density: np.ndarray


def divergence(p: Array, q: Array) -> Array:
    """Returns JSD(p, q) of densities `[32]`, in nats: (max_d v + log 4) / 2."""
    import jax.numpy as jnp
    from jax.scipy.special import rel_entr

    middle = (p + q) / 2
    return (jnp.sum(rel_entr(p, middle)) + jnp.sum(rel_entr(q, middle))) / 2


def density_of(x: Array) -> Array:
    """Returns the density over the states of the mean of narrow bumps at x `[n]`, `[32]`."""
    import jax
    import jax.numpy as jnp

    distance = (jnp.arange(STATES)[None] - x[:, None]) / WIDTH
    return jnp.mean(jax.nn.softmax(-(distance**2) / 2, axis=1), axis=0)


def measure(options: DensitySpace) -> dict[str, Descents]:
    """Returns the descents on densities and on weights."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    data = density_of(jnp.array(CENTRES))
    z = jnp.linspace(-1, 1, NOISE)

    def generated(weights: Variables) -> Array:
        h = jnp.tanh(z[:, None] * weights["in"][None] + weights["bias"][None])
        return density_of(STATES / 2 + STATES / 4 * (h @ weights["out"] + weights["shift"]))

    def on_density(log_p: Array) -> tuple[Array, Array]:
        slope = jax.grad(lambda p: 2 * divergence(p, data))(jnp.exp(log_p))
        return jax.nn.log_softmax(log_p - options.density_rate * slope), divergence(jnp.exp(log_p), data)

    optimizer = optax.adam(options.network_rate)

    def on_weights(state: tuple[Variables, Any]) -> tuple[tuple[Variables, Any], Array]:
        weights, moments = state
        value, slope = jax.value_and_grad(lambda weights: divergence(generated(weights), data))(weights)
        change, moments = optimizer.update(slope, moments)
        return (optax.apply_updates(weights, change), moments), value

    def first_weights(key: PRNGKey) -> tuple[Variables, Any]:
        keys = jax.random.split(key, 4)
        sizes = {"in": 2.0, "bias": 1.0, "out": options.hidden**-0.5, "shift": 1.0}
        shapes = {"shift": ()}
        weights = {
            name: scale * jax.random.normal(one, shapes.get(name, (options.hidden,)))
            for one, (name, scale) in zip(keys, sizes.items(), strict=True)
        }
        return weights, optimizer.init(weights)

    def descend(first, step, density, key):
        last, values = jax.lax.scan(lambda state, _: step(state), first(key), length=options.steps)
        return jnp.append(values, divergence(density(last), data)), density(last)

    sides = {
        "on densities": (lambda key: jax.nn.log_softmax(2 * jax.random.normal(key, (STATES,))), on_density, jnp.exp),
        "through a network": (first_weights, on_weights, lambda state: generated(state[0])),
    }
    keys = jax.random.split(jax.random.key(options.seed), options.starts)
    return {
        name: Descents(*map(np.asarray, jax.jit(jax.vmap(lambda key, side=side: descend(*side, key)))(keys)))
        for name, side in sides.items()
    }


def table(results: dict[str, Descents]) -> str:
    """Returns a line per side: how many starts arrived, and the JSD at the end."""
    import numpy as np

    lines = [f"{'':20}{'arrived':>10}{'median JSD':>14}{'largest JSD':>14}"]
    for name, (values, _) in results.items():
        last = values[:, -1]
        arrived = f"{np.sum(last < CLOSE)} of {len(last)}"
        lines.append(f"{name:20}{arrived:>10}{np.median(last):14.2g}{last.max():14.2g}")
    return "\n".join(lines)


def picture(results: dict[str, Descents]) -> Figure:
    """Draws JSD over steps for each start, and the densities at the end, with the density of the data."""
    import jax.numpy as jnp
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.figures.style import BLUE, INK, ORANGE

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    first, *ends = figure.subplots(1, 1 + len(results))
    for (name, (values, density)), axes, colour in zip(results.items(), ends, (BLUE, ORANGE), strict=True):
        first.plot(values.T, color=colour, linewidth=0.6, alpha=0.6)
        first.plot([], [], color=colour, label=name)
        axes.plot(density.T, color=colour, linewidth=0.6, alpha=0.6)
        axes.plot(np.asarray(density_of(jnp.array(CENTRES))), color=INK, linewidth=1.5, linestyle=":", label="data")
        highest = 1.05 * max(density.max() for _, density in results.values())  # one scale for both sides
        axes.set(xlabel="state", ylabel="probability", title=f"after descent {name}", ylim=(0, highest))
        axes.legend(frameon=False)
    first.set(xscale="symlog", yscale="log", xlabel="step", ylabel="JSD to the data (nats)", ylim=(1e-6, 1))
    first.set_title("a line per start")
    first.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def report(options: DensitySpace) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    results = measure(options)
    return picture(results), table(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.density_space", DensitySpace, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
