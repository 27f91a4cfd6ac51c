"""Time of a step against the batch size, k and the latent size, with a picture.

python -m experiments.benchmarks.scaling

Milliseconds of a step, medians of five turns of half a second (pictures/scaling.png has their spread):

    VAE, by examples per batch                    10   0.627    30   1.04   100   2.61   300   6.52   1,000   20.9
    IWAE, 20 examples per batch, by k              1   0.666     5   1.56    20   4.02    50   8.92     200   37.4
    VAE, 100 examples per batch, by latent size    2   2.31      8   2.30    32   2.53   128   3.45     512   5.26

On 2 cores of an AMD EPYC, measured alone (jax 0.10.2, CPU), 2026-11-28.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import genjax_models as gx
from experiments.benchmarks.likelihoods import (
    IWAE_BATCH,
    IWAE_HIDDEN,
    VAE_BATCH,
    VAE_HIDDEN,
    VAE_LATENT,
    model_of_images,
)
from experiments.benchmarks.measure import Timing, by_turns, contestant, machine
from experiments.benchmarks.sides import Run, training
from genjax_models.figures.palette import BLUE, GREY, INK
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, whole
from genjax_models.runs.output_files import check_output, write_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Measure how the time of a step grows, and draw curves."""

    batch: tuple[int, ...] = (10, 30, 100, 300, 1_000)
    """Batch sizes of the VAE."""
    num_samples: tuple[int, ...] = (1, 5, 20, 50, 200)
    """Values of k of the IWAE."""
    latent: tuple[int, ...] = (2, 8, 32, 128, 512)
    """Latent sizes of the VAE."""
    turns: int = 5
    """Rounds in which all points of a curve are timed."""
    seconds: float = 0.5
    """Time of each point per round."""
    to: Path = Path("experiments/pictures/scaling.png")
    """PNG file of the picture."""

    def __post_init__(self):
        whole(1, batch=self.batch, num_samples=self.num_samples, latent=self.latent)
        whole(5, turns=self.turns)
        positive(seconds=self.seconds)
        check_output(self.to, ".png")


class Curve(NamedTuple):
    """Times of a step at each value of one variable."""

    title: str
    varies: str
    values: Sequence[int]
    timings: Sequence[Timing]


def vae_step(batch_size: int = VAE_BATCH, latent: int = VAE_LATENT) -> Run:
    """Returns the VAE 784-400-latent and back."""
    return training(gx.vae(model_of_images(latent, (VAE_HIDDEN,))), batch_size).run


def iwae_step(num_samples: int) -> Run:
    """Returns the IWAE 784-200-200-50 and back."""
    return training(gx.iwae(model_of_images(50, (IWAE_HIDDEN, IWAE_HIDDEN)), num_samples=num_samples), IWAE_BATCH).run


def curves(options: Benchmark) -> list[Curve]:
    """Measures all three curves."""

    def measured(step: Callable[[int], Run], values: Sequence[int]) -> list[Timing]:
        contestants = {str(value): contestant(partial(step, value)) for value in values}
        return list(by_turns(contestants, turns=options.turns, seconds=options.seconds, warm=3).values())

    return [
        Curve("VAE", "examples per batch", options.batch, measured(vae_step, options.batch)),
        Curve(
            f"IWAE, {IWAE_BATCH} examples per batch",
            "samples k per example",
            options.num_samples,
            measured(iwae_step, options.num_samples),
        ),
        Curve(
            f"VAE, {VAE_BATCH} examples per batch",
            "latent dimensions",
            options.latent,
            measured(lambda latent: vae_step(latent=latent), options.latent),
        ),
    ]


def picture(measured: Sequence[Curve], about: str) -> Figure:
    """Draws a panel per curve: median, least and greatest of the turns, and proportional growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(measured)), measured, strict=True):
        times = 1e3 * np.array([timing.seconds for timing in curve.timings])
        middle, values = np.median(times, axis=1), np.array(curve.values, float)
        error = np.abs(np.array([times.min(axis=1), times.max(axis=1)]) - middle)
        axes.errorbar(values, middle, error, marker="o", color=BLUE, capsize=3, label="measured")
        axes.plot(values, middle[-1] * values / values[-1], "--", color=GREY, label="proportional growth")
        axes.set(xscale="log", yscale="log", xlabel=curve.varies, title=curve.title)
        axes.set_xticks(values, [f"{value:,}" for value in curve.values])
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.25, which="both")
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("milliseconds per step")
    figure.text(0.5, -0.03, about, ha="center", va="top", fontsize=8, color=INK)
    return figure


def table(measured: Sequence[Curve]) -> str:
    """Returns milliseconds of a step: median, least and greatest of the turns."""
    lines = []
    for curve in measured:
        lines.append(f"{curve.title}, by {curve.varies}")
        for value, timing in zip(curve.values, curve.timings, strict=True):
            least, middle, most = (1e3 * statistic(timing.seconds) for statistic in (np.min, np.median, np.max))
            lines.append(f"    {value:>6,}{middle:>10.3g} ms  ({least:.3g} to {most:.3g})")
    return "\n".join(lines)


def benchmark(options: Benchmark) -> str:
    """Measures, writes the picture, and returns the table."""
    import jax

    from genjax_models.figures import plots

    device = jax.devices()[0]
    about = machine("jax") if device.platform == "cpu" else f"{device.device_kind}; {machine('jax')}"
    measured = curves(options)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    write_output(options.to, plots.png(picture(measured, about)))
    return f"{about}\n{table(measured)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status."""
    with exit_on_error():
        print(benchmark(parse(Benchmark, arguments, "python -m experiments.benchmarks.scaling", Benchmark.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
