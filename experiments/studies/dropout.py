"""Dropout in the discriminator, measured: the claim of 20.10.4 about the generator's gradient.

python -m experiments.studies.dropout --steps 3000

                  Frechet distance    minus dropped          coverage     minus dropped  expected
dropped               106.5 +- 7.5                     0.266 +- 0.014                    best
weights scaled         90.6 +- 2.6     -15.9 +- 5.5    0.302 +- 0.011    0.036 +- 0.015  less effective
never dropped          65.0 +- 4.9    -41.5 +- 11.2    0.372 +- 0.025    0.106 +- 0.037  poor
training images         2.5 +- 0.1                     0.981 +- 0.006

Means and standard errors over five seeds; differences are by seed, of equal initial weights and batches. A DCGAN of 32
and 16 channels, batches of 32, 3,000 steps on mnist10k; 1,000 samples and the 1,000 test images, on mnist_classifier.
5.5 min of processor time, one core of an AMD EPYC with AVX-512 (jax 0.10.2, CPU), 2026-11-29. The picture is
pictures/dropout.png.

The text expects that the generator learns best while units are dropped, less well from the deterministic discriminator
with weights scaled, and poorly without dropout. Here the order is the opposite, by 2.9 and 3.7 standard errors: this
generator learns best without dropout. After 600 steps no difference was above its error (144.1 +- 4.0, 144.7 +- 3.7 and
141.1 +- 9.3, 2026-11-29). Only a convolutional discriminator, one rate and 3,000 steps were measured; --networks dense
has the networks of the first GANs.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import positive, whole
from genjax_models.runs.configuration import rate as in_range
from genjax_models.runs.output_files import check_output
from genjax_models.systems.groups import Optimizer

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.data import Prepared
    from genjax_models.types import Array, Objective

WAYS = {"dropped": "best", "weights scaled": "less effective", "never dropped": "poor"}  # what the text expects
_SHOWN = 12  # samples per way in the picture


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Train one GAN in three ways that differ in the discriminator's dropout, over several seeds."""

    networks: Literal["dense", "convolutional"] = "convolutional"
    """dense: as in the first GANs. convolutional: as in DCGAN, the discriminator without normalisation."""
    rate: float = 0.5
    """Dropout rate of the discriminator's hidden units."""
    data: Literal["mnist10k", "fashion_mnist"] = "mnist10k"
    """Images, whose classifier the package ships."""
    seeds: int = 5
    """Runs per way, with seeds 0, 1, ...; at least 2."""
    steps: int = 600
    """Training steps."""
    evaluate_every: int = 200
    """Steps between the points of the curves."""
    batch_size: int = 32
    """Real examples per step; each player sees as many samples."""
    judged: int = 1_000
    """Samples of a generator that are compared with the test images, at least 100."""
    latent: int = 16
    """Dimensions of z."""
    hidden: tuple[int, ...] = (256, 256)
    """Widths of the layers of fully connected networks."""
    channels: tuple[int, ...] = (16, 32)
    """Channels of the convolutional discriminator's levels; the generator reverses the order."""
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, b1=0.5)
    to: Path = Path("runs/dropout.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        in_range(rate=self.rate)
        positive(rate=self.rate)
        whole(2, seeds=self.seeds)
        whole(1, steps=self.steps, evaluate_every=self.evaluate_every, batch_size=self.batch_size, latent=self.latent)
        whole(1, hidden=self.hidden, channels=self.channels, levels=len(self.channels))
        whole(100, judged=self.judged)
        if self.steps % self.evaluate_every:
            raise InputError(f"steps must be a multiple of evaluate_every, {self.evaluate_every}, got {self.steps}")


class Judged(NamedTuple):
    """Figures of one way, or of training images, on the features of the classifier.

    step: steps of the curves, `[points]`.
    frechet: Frechet distances, `[seeds, points]`.
    coverage: coverage after the last step, `[seeds]`.
    samples: samples of the first seed after the last step, `[n, height, width, 1]`.
    """

    step: np.ndarray
    frechet: np.ndarray
    coverage: np.ndarray
    samples: np.ndarray


def build(options: Dropout, way: str, shape: tuple[int, ...]) -> Objective:
    """Returns the game of a way on images in [-1, 1].

    Kept units are scaled by 1 / (1 - rate) while others are dropped. So the deterministic discriminator has the weights
    as they are, which is the book's "weights divided by two" at rate 1/2.
    """
    dropped = game(options, options.rate, shape)
    deterministic = game(options, 0.0, shape)
    learned = deterministic if way == "never dropped" else dropped
    followed = dropped if way == "dropped" else deterministic
    losses = {"discriminator": learned.losses["discriminator"], "generator": followed.losses["generator"]}
    return learned._replace(losses=losses)


def game(options: Dropout, rate: float, shape: tuple[int, ...]) -> Objective:
    """Returns the game in which the discriminator has this dropout rate in both players' moves."""
    import flax.linen as nn

    if options.networks == "dense":
        generator = nn.Sequential([gx.MLPGenerator(shape, options.hidden), nn.tanh])
        discriminator = gx.MLPDiscriminator(shape, options.hidden, dropout=rate)
    else:
        generator = gx.DCGANGenerator(shape, options.channels[::-1])
        discriminator = gx.DCGANDiscriminator(shape, options.channels, normalisation=None, dropout=rate)
    return gx.gan(gx.adversarial_pair(generator, discriminator, options.latent))


def measure(options: Dropout) -> dict[str, Judged]:
    """Returns the figures of each way, and last "training images", in place of samples."""
    import numpy as np

    data = gx.prepare(gx.load(options.data), range=(-1, 1))
    judged = {way: learn(options, way, data) for way in WAYS}
    n = len(data.test.x)
    ideal = [data.training_examples(np.arange(i * n, (i + 1) * n)).x for i in range(2)]
    frechet, coverage = zip(*(judge(options, x, data, covered=True) for x in ideal), strict=True)
    judged["training images"] = Judged(
        np.array([options.steps]), np.array(frechet)[:, None], np.array(coverage), np.asarray(ideal[0][:_SHOWN])
    )
    return judged


def learn(options: Dropout, way: str, data: Prepared) -> Judged:
    """Returns the figures of the generators of one way. Seeds share initial weights and batches with other ways."""
    import jax
    import numpy as np

    from genjax_models.runs.fit import fit_members
    from genjax_models.runs.history import Listeners
    from genjax_models.runs.logs import Member

    objective = build(options, way, data.example.x.shape[1:])
    train = gx.trainer(objective, options.optimizer.build(options.steps))
    sample = jax.jit(lambda players: objective.sample(players, jax.random.key(0), max(options.judged, _SHOWN)))
    curves: list[list[float]] = [[] for _ in range(options.seeds)]

    def listener(curve: list[float]) -> Listeners:
        def on_evaluation(progress, _row):
            samples = sample(progress.state.variables)[: options.judged]
            curve.append(judge(options, samples, data)[0])

        return Listeners(on_evaluation=on_evaluation)

    members = [Member(f"{way}, seed {i}", i, listeners=listener(curve)) for i, curve in enumerate(curves)]
    training = gx.Training(options.steps, options.batch_size, evaluate_every=options.evaluate_every)
    together = jax.default_backend() != "cpu"  # in turn on a CPU, where together is no faster
    fits = fit_members(lambda values: train, data, training, members, together=together)
    samples = [np.asarray(sample(fit.state.variables)) for fit in fits]
    coverage = [judge(options, x[: options.judged], data, covered=True)[1] for x in samples]
    step = np.arange(0, options.steps + 1, options.evaluate_every)
    return Judged(step, np.array(curves), np.array(coverage), samples[0][:_SHOWN])


def judge(options: Dropout, samples: Array, data: Prepared, covered: bool = False) -> tuple[float, float]:
    """Returns the Frechet distance to the test images, and the coverage; nan unless `covered`, because it is dear."""
    from genjax_models.evaluation.features import extract
    from genjax_models.evaluation.frechet_distance import frechet_distance
    from genjax_models.systems.samples import default_features

    features = default_features(options.data, data.range)
    x, y = extract(features, samples), extract(features, data.test.x)
    coverage = gx.manifold_coverage(x, y)["coverage"].value if covered else float("nan")
    return float(frechet_distance(x, y)[0]), coverage


def table(judged: Mapping[str, Judged]) -> str:
    """Returns a line per way: means over seeds with standard errors, and differences to the first way, by seed."""
    lines = [f"{'':17}{'Frechet distance':>17}{'minus dropped':>17}{'coverage':>18}{'minus dropped':>18}  expected"]
    first = judged["dropped"]
    for name, one in judged.items():
        cells = [mean_and_error(one.frechet[:, -1], 1), "", mean_and_error(one.coverage, 3), ""]
        if name in WAYS and one is not first:
            cells[1] = mean_and_error(one.frechet[:, -1] - first.frechet[:, -1], 1)
            cells[3] = mean_and_error(one.coverage - first.coverage, 3)
        widths = (17, 17, 18, 18)
        lines.append(f"{name:17}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
                     + (f"  {WAYS[name]}" if name in WAYS else ""))  # fmt: skip
    return "\n".join(lines)


def mean_and_error(values: np.ndarray, digits: int) -> str:
    """Returns the mean over seeds and its standard error as text."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.{digits}f} +- {error:.{digits}f}"


def picture(options: Dropout, judged: Mapping[str, Judged]) -> Figure:
    """Draws the Frechet distance over steps, each seed and the mean, and samples of the first seed."""
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.figures.style import COLORS

    figure = Figure(figsize=(11, 2.9), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(3.6, 7.4))[0]
    axes = left.subplots()
    for name, colour in zip(WAYS, COLORS, strict=False):
        one = judged[name]
        axes.plot(one.step[1:], one.frechet[:, 1:].T, color=colour, linewidth=0.6, alpha=0.5)
        axes.plot(one.step[1:], one.frechet[:, 1:].mean(0), color=colour, linewidth=1.8, label=name)
    axes.set(xlabel="step", ylabel="Fréchet distance", title=f"{options.seeds} seeds, and their mean")
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.25)
    right.suptitle(f"samples after {options.steps:,} steps")
    for axes, (name, one) in zip(right.subplots(len(judged), 1), judged.items(), strict=True):
        axes.imshow(np.concatenate(list(one.samples[:_SHOWN, ..., 0]), axis=1), cmap="gray", vmin=-1, vmax=1)
        axes.set_ylabel(name.replace(" ", "\n"), rotation=0, ha="right", va="center", fontsize=9)
        axes.set(xticks=[], yticks=[])
    return figure


def report(options: Dropout) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    judged = measure(options)
    return picture(options, judged), table(judged)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.dropout", Dropout, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
