"""Gradient of a generator whose discriminator has a head start, for three payoffs (20.10.4).

python -m experiments.studies.payoffs

norm of the gradient                  at first                head start                   at last
minimax               8.2e-01 (7e-01 to 9e-01)  9.3e-04 (8e-04 to 1e-03)  1.5e+00 (1e+00 to 2e+00)
non-saturating        2.0e+00 (2e+00 to 3e+00)  1.2e+01 (1e+01 to 1e+01)  6.8e+00 (6e+00 to 8e+00)
maximum likelihood    1.3e+00 (1e+00 to 2e+00)  9.3e-04 (8e-04 to 1e-03)  5.6e-03 (1e-03 to 1e-01)

Geometric mean, least and largest over three seeds. Each value is a mean over ten steps: the first ten, the last ten of
the head start of 500, and the last of all 2,000. mnist10k, 2 minutes of processor time (pictures/payoffs.png). One core
of an AMD EPYC with AVX-512 (jax 0.10.2, CPU), 2026-11-29

While the generator rests, all three payoffs have the same discriminator, step by step. Its accuracy is 99% or more
after 20 steps (Arjovsky and Bottou, 2017, do the same with trained generators). The gradient of minimax falls by a
factor of 900, and the gradient of maximum likelihood falls as far: for d near 0, log(1 - d) and -d / (1 - d) have the
slope -d in the logit. The non-saturating loss has the slope -1 there, and its gradient rises by a factor of 6.

After the head start, minimax recovers, because the size of Adam's steps does not depend on the size of the gradient.
Steps proportional to the gradient would be 900 times smaller than at first. Maximum likelihood does not recover. The
few examples that leave the discriminator unsure have nearly all of the gradient (Goodfellow, 2014): for one seed it is
above 1e5 in ten steps. Afterwards the discriminator is always right.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.figures.palette import BLUE, GREEN, GREY, INK, ORANGE
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import whole
from genjax_models.runs.output_files import check_output
from genjax_models.systems.groups import Optimizer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.data import Prepared
    from genjax_models.types import Objective, Trainer

PAYOFFS = ("minimax", "non_saturating", "maximum_likelihood")
_EVERY = 10  # steps per point of the curves
_SHOWN = 10  # samples per payoff in the picture
_IN_WORDS = {"minimax": "minimax", "non_saturating": "non-saturating", "maximum_likelihood": "maximum likelihood"}
_COLOURS = {"minimax": ORANGE, "non_saturating": BLUE, "maximum_likelihood": GREEN}
_STYLES = {
    "minimax": "-",
    "non_saturating": "-",
    "maximum_likelihood": "--",
}  # dashed, because its curve covers minimax during the head start


@dataclasses.dataclass(frozen=True)
class Payoffs:
    """Measure the generator's gradient for each payoff, during and after a head start of the discriminator."""

    data: str = "mnist10k"
    """Images: mnist10k, fashion_mnist, a .npz or .npy file, or a folder of idx files."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file. Default: 0 255 for uint8, 0 1 for floating point."""
    seeds: int = 3
    """Runs per payoff, with seeds 0, 1, ..."""
    head_start: int = 500
    """Steps in which only the discriminator learns; the generator's gradient is still measured."""
    steps: int = 1_500
    """Steps after the head start, in which both learn."""
    batch_size: int = 100
    """Real examples per step; each player sees as many samples."""
    latent: int = 64
    """Dimensions of z."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers of both networks."""
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, b1=0.5)
    to: Path = Path("runs/payoffs.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(0, steps=self.steps)
        whole(2 * _EVERY, head_start=self.head_start)
        whole(1, seeds=self.seeds, batch_size=self.batch_size, latent=self.latent, hidden=self.hidden)
        for name, steps in (("head_start", self.head_start), ("steps", self.steps)):
            if steps % _EVERY:
                raise InputError(f"{name} must be a multiple of {_EVERY}, the steps per point, got {steps}")


class Run(NamedTuple):
    """Means over ten steps `[seeds, points]`, at the steps `step` `[points]`; and samples of the first seed."""

    step: np.ndarray
    gradient_norm: np.ndarray
    accuracy: np.ndarray
    samples: np.ndarray


def measure(options: Payoffs) -> dict[str, Run]:
    """Returns the runs of each payoff. During the head start all payoffs have the same discriminator, step by step."""
    dataset = gx.load(options.data, range=options.data_range)
    if len(dataset.shape) != 3:
        raise InputError(f"data must be images, got examples of shape {dataset.shape} from {options.data}")
    if options.batch_size > len(dataset.train.x):
        raise InputError(
            f"batch_size must be at most {len(dataset.train.x)}, the training split of {options.data},"
            f" got {options.batch_size}"
        )
    data = gx.prepare(dataset, binarise="none", range=(-1, 1))  # range of tanh
    return {payoff: play(options, payoff, data) for payoff in PAYOFFS}


def build(options: Payoffs, payoff: str, shape: tuple[int, ...]) -> Objective:
    """Returns the game of two fully connected networks on images in [-1, 1]."""
    import flax.linen as nn

    generator = nn.Sequential([gx.MLPGenerator(shape, options.hidden), nn.tanh])
    discriminator = gx.MLPDiscriminator(shape, options.hidden)
    return gx.gan(gx.adversarial_pair(generator, discriminator, options.latent), loss=payoff)


def trainer(options: Payoffs, objective: Objective) -> Trainer:
    """Returns the trainer. Both players have the same optimizer; the generator's rests during the head start."""
    import optax

    adam = options.optimizer.build(options.head_start + options.steps)
    at_rest = optax.conditionally_mask(adam, lambda step: step >= options.head_start)
    return gx.trainer(objective, {"discriminator": adam, "generator": at_rest})


def play(options: Payoffs, payoff: str, data: Prepared) -> Run:
    """Returns the runs of a payoff, one per seed."""
    import jax
    import numpy as np

    objective = build(options, payoff, data.example.x.shape[1:])
    steps = options.head_start + options.steps
    training = gx.Training(steps, options.batch_size, evaluate_every=options.head_start, log_every=_EVERY)
    fits = [gx.fit(trainer(options, objective), data, training, seed=seed) for seed in range(options.seeds)]
    histories = [[row for row in fit.history if row["split"] == "train"] for fit in fits]

    def values(name):
        return np.array([[row[name] for row in history] for history in histories])

    samples = objective.sample(fits[0].state.variables, jax.random.key(0), _SHOWN)
    return Run(
        values("step")[0], values("generator/gradient_norm"), values("discriminator/accuracy"), np.asarray(samples)
    )


def table(options: Payoffs, runs: Mapping[str, Run]) -> str:
    """Returns the gradient's norm at three moments: geometric mean, least and largest over seeds."""
    import numpy as np

    moments = {"at first": 0, "head start": options.head_start // _EVERY - 1, "at last": -1}
    lines = [f"{'':20s}" + "".join(f"{name:>26s}" for name in moments)]
    for payoff, run in runs.items():
        cells = []
        for point in moments.values():
            norms = run.gradient_norm[:, point]
            mean = np.exp(np.log(norms).mean())
            cells.append(f"{mean:.1e} ({norms.min():.0e} to {norms.max():.0e})")
        lines.append(f"{_IN_WORDS[payoff]:20s}" + "".join(f"{cell:>26s}" for cell in cells))
    return "\n".join(lines)


def picture(options: Payoffs, runs: Mapping[str, Run]) -> Figure:
    """Draws the generator's gradient norm and the discriminator's accuracy over steps, and samples at the end."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(3.4, 2.4))
    norms, accuracies = above.subplots(1, 2)
    for payoff, run in runs.items():
        line = {"color": _COLOURS[payoff], "linestyle": _STYLES[payoff], "linewidth": 1.3, "label": _IN_WORDS[payoff]}
        band = {"color": _COLOURS[payoff], "alpha": 0.2, "linewidth": 0}
        norms.plot(run.step, np.exp(np.log(run.gradient_norm).mean(0)), **line)
        norms.fill_between(run.step, run.gradient_norm.min(0), run.gradient_norm.max(0), **band)
        accuracies.plot(run.step, run.accuracy.mean(0), **line)
        accuracies.fill_between(run.step, run.accuracy.min(0), run.accuracy.max(0), **band)
    norms.set_yscale("log")
    norms.set_title("norm of the generator's gradient", fontsize=10)
    accuracies.set_title("discriminator's accuracy", fontsize=10)
    accuracies.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
    for axes in (norms, accuracies):
        axes.axvspan(0, options.head_start, color=GREY, alpha=0.15, linewidth=0)
        axes.set_xlim(0, run.step[-1])
        axes.set_xlabel("step")
        axes.grid(alpha=0.25)
    norms.legend(frameon=False, fontsize=8)
    middle, bottom = options.head_start / 2, accuracies.get_ylim()[0]
    accuracies.text(middle, bottom, "the generator\nrests", ha="center", va="bottom", fontsize=8)
    below.suptitle(f"samples after {run.step[-1]:,} steps", fontsize=10)
    for axes, (payoff, run) in zip(below.subplots(len(runs), 1), runs.items(), strict=True):
        strip = np.concatenate(list(run.samples), axis=1)
        axes.imshow(np.clip((strip + 1) / 2, 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_ylabel(_IN_WORDS[payoff].replace(" ", "\n"), rotation=0, ha="right", va="center", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    return figure


def report(options: Payoffs) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    runs = measure(options)
    return picture(options, runs), table(options, runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.payoffs", Payoffs, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
