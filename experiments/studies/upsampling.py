"""Checkerboards of four ways to double an image, in a DCGAN and in the decoder of a VAE (20.10.6).

python -m experiments.studies.upsampling

Energy at the Nyquist frequencies as a share of the variance over pixels, over the share of the test images:

                            at first         trained    Frechet distance
DCGAN unpooling 5 x 5     1,509 +- 317    2.21 +- 0.12      116.4 +- 0.1
DCGAN transposed 4 x 4    2,451 +- 445    1.96 +- 0.27      115.6 +- 1.9
DCGAN transposed 5 x 5    1,471 +- 399    2.00 +- 0.07      122.1 +- 0.5
DCGAN nearest 5 x 5         4.6 +- 1.9    1.53 +- 0.06       90.5 +- 3.9
VAE   unpooling 5 x 5       935 +- 251    0.29 +- 0.04      133.0 +- 4.4
VAE   transposed 4 x 4    1,421 +- 393    0.22 +- 0.00      133.4 +- 5.3
VAE   transposed 5 x 5      920 +- 226    0.32 +- 0.04      132.9 +- 3.0
VAE   nearest 5 x 5         8.0 +- 2.7    0.25 +- 0.03      119.8 +- 2.4

Means and standard errors over three seeds; 32 and 16 channels, batches of 32, 800 steps of the DCGAN and 600 of the VAE
on mnist10k; 1,000 samples and the 1,000 test images, on mnist_classifier. Samples of the VAE are E[x | z], which have
less fine detail than data. 8 minutes on one busy core of an AMD EPYC (jax 0.10.2, CPU), 2026-11-29.

At first all ways but nearest + convolution draw a checkerboard, and training removes most of it. Nearest + convolution
also learns fastest here: its Frechet distance is the least in both networks. A kernel of 4, a multiple of the stride,
is no better than one of 5. All four are early in training: few samples are digits. pictures/upsampling.png.
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
from genjax_models.runs.output_files import check_output
from genjax_models.systems.groups import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.data import Prepared
    from genjax_models.networks.upsampling import Upsampling
    from genjax_models.types import Array, Objective, Players

LAYERS: dict[str, tuple[Upsampling, int]] = {
    "unpooling 5 x 5": ("unpool", 5),
    "transposed 4 x 4": ("transposed", 4),
    "transposed 5 x 5": ("transposed", 5),
    "nearest 5 x 5": ("nearest", 5),
}
NETWORKS: tuple[Literal["DCGAN", "VAE"], ...] = ("DCGAN", "VAE")
_SHOWN = 8  # samples per layer in the picture, and two before training


@dataclasses.dataclass(frozen=True)
class Upsamplings:
    """Train a DCGAN and a VAE with each way to double an image, and measure the checkerboard of their samples."""

    data: Literal["mnist10k", "fashion_mnist"] = "mnist10k"
    """Images, whose classifier the package ships."""
    networks: tuple[Literal["DCGAN", "VAE"], ...] = NETWORKS
    """Networks to train."""
    seeds: int = 3
    """Runs per network and layer, with seeds 0, 1, ...; at least 2."""
    gan_steps: int = 800
    """Training steps of the DCGAN."""
    vae_steps: int = 600
    """Training steps of the VAE."""
    batch_size: int = 32
    """Real examples per step."""
    judged: int = 1_000
    """Samples of a generator that are compared with the test images, at least 100."""
    latent: int = 16
    """Dimensions of z."""
    channels: tuple[int, ...] = (16, 32)
    """Channels of the discriminator's and the encoder's levels; generator and decoder reverse the order."""
    hidden: tuple[int, ...] = (128,)
    """Widths of the fully connected layers of the VAE."""
    gan_learning_rate: float = 5e-4
    """Learning rate of both players of the DCGAN."""
    vae_learning_rate: float = 2e-3
    """Learning rate of the VAE."""
    to: Path = Path("runs/upsampling.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(2, seeds=self.seeds)
        if not self.networks or len(set(self.networks)) < len(self.networks):
            raise InputError(f"networks must be one of each of {', '.join(NETWORKS)}, got {self.networks}")
        whole(1, gan_steps=self.gan_steps, vae_steps=self.vae_steps, batch_size=self.batch_size, latent=self.latent)
        whole(1, channels=self.channels, levels=len(self.channels), hidden=self.hidden)
        whole(100, judged=self.judged)
        positive(gan_learning_rate=self.gan_learning_rate, vae_learning_rate=self.vae_learning_rate)


class Judged(NamedTuple):
    """Samples compared with the test images; each figure is `[seeds]`.

    energy: energy at the Nyquist frequencies, over the energy of the test images there.
    share: share of that energy in the variance over pixels, over the share of the test images.
    frechet: Frechet distance on the features of the classifier.
    samples: samples of the first seed, `[n, height, width, 1]`.
    """

    energy: np.ndarray
    share: np.ndarray
    frechet: np.ndarray
    samples: np.ndarray


class Subject(NamedTuple):
    """A network in training: its objective, optimizer, data and steps, and (players, key, n) -> its samples.

    `x` are the test images in the range of the samples, without binarisation.
    """

    objective: Objective
    optimizer: Optimizer
    data: Prepared
    steps: int
    sample: Callable[..., Array]
    x: Array


def subject(options: Upsamplings, network: str, layer: str) -> Subject:
    """Returns a DCGAN of images in [-1, 1], or a VAE of binarised images, whose samples are E[x | z]."""
    upsampling, kernel = LAYERS[layer]
    dataset, channels = gx.load(options.data), options.channels
    shape = dataset.shape
    if network == "DCGAN":
        data = gx.prepare(dataset, range=(-1, 1))
        generator = gx.DCGANGenerator(shape, channels[::-1], upsampling, kernel)
        objective = gx.gan(gx.adversarial_pair(generator, gx.DCGANDiscriminator(shape, channels), options.latent))
        optimizer = Optimizer(learning_rate=options.gan_learning_rate, b1=0.5)
        return Subject(objective, optimizer, data, options.gan_steps, objective.sample, data.test.x)
    posterior, likelihood = gx.diagonal_gaussian(options.latent), gx.bernoulli(shape)
    encoder = gx.ConvolutionalEncoder(shape, posterior.outputs, channels, options.hidden)
    decoder = gx.ConvolutionalGenerator(
        likelihood.outputs, channels[::-1], options.hidden, upsampling=upsampling, kernel=kernel
    )
    model = gx.latent_variable_model(encoder, posterior, decoder, likelihood)

    def sample(players: Players, key: Array, n: int) -> Array:
        return model.sample(players["vae"], key, n, mean=True)

    data, x = gx.prepare(dataset, binarise="dynamic"), gx.prepare(dataset).test.x
    optimizer = Optimizer(learning_rate=options.vae_learning_rate)
    return Subject(gx.vae(model), optimizer, data, options.vae_steps, sample, x)


def measure(options: Upsamplings) -> dict[tuple[str, str], tuple[Judged, Judged]]:
    """Returns the figures before and after training, by network and layer."""
    return {
        (network, layer): learn(options, subject(options, network, layer))
        for network in options.networks
        for layer in LAYERS
    }


def learn(options: Upsamplings, one: Subject) -> tuple[Judged, Judged]:
    """Returns the figures before and after training."""
    import jax

    from genjax_models.runs.fit import fit_members
    from genjax_models.runs.history import Listeners, Progress, Row
    from genjax_models.runs.logs import Member

    train = gx.trainer(one.objective, one.optimizer.build(one.steps))
    sample = jax.jit(lambda players: one.sample(players, jax.random.key(0), max(options.judged, _SHOWN)))
    samples: list[list[Array]] = [[] for _ in range(options.seeds)]

    def listener(of_seed: list[Array]) -> Listeners:
        def on_evaluation(progress: Progress, _row: Row) -> None:
            of_seed.append(sample(progress.state.variables))

        return Listeners(on_evaluation=on_evaluation)

    members = [Member(f"seed {seed}", seed, listeners=listener(of_seed)) for seed, of_seed in enumerate(samples)]
    training = gx.Training(one.steps, options.batch_size, evaluate_every=one.steps)
    together = jax.default_backend() != "cpu"  # in turn on a CPU, where together is no faster
    fit_members(lambda values: train, one.data, training, members, together=together)
    before, after = zip(*samples, strict=True)
    return judge(options, before, one.x), judge(options, after, one.x)


def judge(options: Upsamplings, samples: Sequence[Array], x: Array) -> Judged:
    """Compares the samples of each seed with test images of the same range."""
    import numpy as np

    from genjax_models.evaluation.features import extract
    from genjax_models.evaluation.frechet_distance import frechet_distance
    from genjax_models.systems.samples import default_features

    low = 0 if np.min(x) >= 0 else -1
    features = default_features(options.data, (low, 1))
    of_data = extract(features, x)
    energy, share = np.array([np.divide(spectrum(one[: options.judged]), spectrum(x)) for one in samples]).T
    frechet = [float(frechet_distance(extract(features, one[: options.judged]), of_data)[0]) for one in samples]
    return Judged(energy, share, np.array(frechet), (np.asarray(samples[0][:_SHOWN]) - low) / (1 - low))


def spectrum(images: Array) -> tuple[float, float]:
    """Returns the mean energy at the Nyquist frequencies, and its share in the mean variance over pixels."""
    import jax.numpy as jnp

    from genjax_models.evaluation.checkerboard import nyquist_energy

    energy = float(jnp.mean(nyquist_energy(images)))
    return energy, energy / float(jnp.mean(jnp.var(images, axis=(1, 2, 3))))


def table(results: Mapping[tuple[str, str], tuple[Judged, Judged]]) -> str:
    """Returns a line per network and layer: means over seeds with standard errors."""
    head = f"{'':24}{'energy at Nyquist, of data':^36}{'share of variance, of data':^36}"
    lines = [head.rstrip(), f"{'':24}" + 2 * f"{'at first':>18}{'trained':>18}" + f"{'Frechet distance':>18}"]
    for (network, layer), (before, after) in results.items():
        cells = [before.energy, after.energy, before.share, after.share]
        texts = [mean_and_error(values, 2) for values in cells] + [mean_and_error(after.frechet, 1)]
        lines.append(f"{network:6}{layer:18}" + "".join(f"{text:>18}" for text in texts))
    return "\n".join(lines)


def mean_and_error(values: np.ndarray, digits: int) -> str:
    """Returns the mean over seeds and its standard error as text."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.{digits}f} +- {error:.{digits}f}"


def picture(results: Mapping[tuple[str, str], tuple[Judged, Judged]]) -> Figure:
    """Draws samples before training, with full contrast, and after it, and bars of the share of the energy."""
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.figures.style import BLUE, INK, PALE

    networks = list(dict.fromkeys(network for network, _ in results))
    figure = Figure(figsize=(6.3 * len(networks), 5.6), layout="constrained")
    for side, network in zip(figure.subfigures(1, len(networks), squeeze=False)[0], networks, strict=True):
        above, below = side.subfigures(2, 1, height_ratios=(3.4, 2.2))
        above.suptitle(f"{network}: two samples at first, with full contrast, and eight after training", fontsize=9)
        bars = below.subplots()
        for i, (axes, layer) in enumerate(zip(above.subplots(len(LAYERS), 1), LAYERS, strict=True)):
            before, after = results[network, layer]
            first = [np.interp(image, (image.min(), image.max()), (0, 1)) for image in before.samples[:2, ..., 0]]
            strip = np.concatenate([*first, np.ones((len(first[0]), 4)), *after.samples[..., 0]], axis=1)
            axes.imshow(strip, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_ylabel(layer.replace(" ", "\n", 1), rotation=0, ha="right", va="center", fontsize=8)
            axes.set(xticks=[], yticks=[])
            for shift, one, colour in ((-0.2, before, PALE), (0.2, after, BLUE)):
                error = one.share.std(ddof=1) / len(one.share) ** 0.5
                label = {PALE: "at first", BLUE: "trained"}[colour] if i == 0 else None
                bars.bar(i + shift, one.share.mean(), 0.4, yerr=error, color=colour, ecolor=INK, label=label)
        bars.axhline(1, color=INK, linestyle=":", linewidth=1)
        bars.set_yscale("log")
        bars.set_xticks(range(len(LAYERS)), [layer.replace(" ", "\n", 1) for layer in LAYERS], fontsize=8)
        bars.set_ylabel("share of energy at the\nNyquist frequencies, of data", fontsize=8)
        bars.legend(frameon=False, fontsize=8)
    return figure


def report(options: Upsamplings) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    results = measure(options)
    return picture(results), table(results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.upsampling", Upsamplings, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
