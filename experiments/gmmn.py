"""A generative moment matching network on images (20.10.5): Li, Swersky and Zemel, 2015.

python -m experiments.gmmn

held-out squared MMD: 0.0063 +- 0.0009, of the kernel that it was trained by   (1,000 samples beside 1,000 test images)
kernel distance: 5.4 +- 0.5 on mnist_classifier, where training images have -0.07 +- 0.14
two-sample p-value: 0.001, the smallest of 999 permutations: 1,000 samples are told from as many test images
Parzen window on 10,000 samples: 98.9 +- 5.5 nats; Li et al. report 147 +- 2 for theirs, which saw 55,000 images of
MNIST in 40,000 steps, where this one saw 8,000 (mnist10k, grey, seed 0)
3,000 steps of 1,000 examples in 34 min beside much other work, 2 cores of AMD EPYC (jax 0.10.2, CPU), 2026-11-21

Network, noise and kernel are those of Li et al. on MNIST, whose sigma of 2, 5, 10, 20, 40, 80 are variances in their
code; the loss is their root of the biased MMD^2. In place of SGD with momentum stands Adam. The samples are digits with
ragged strokes and stray pixels, a few of them no digit: a distance between pixels sees little else in 784 dimensions.
What an autoencoder makes of that is in experiments.gmmn_autoencoder.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from typing import TYPE_CHECKING, Literal

import tyro

import genjax_models as gx
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.estimators.kernels import Kernel
    from genjax_models.evaluation.features import Features
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.runs.pictures import Picture
    from genjax_models.types import Objective, Players


METRIC = "mmd_squared_unbiased"
PARZEN_SAMPLES = 10_000
PARZEN_BANDWIDTHS = tuple(0.1 + 0.01 * i for i in range(20))  # those of Li et al.
TEST_POINTS = 1_000  # of the permutation test, of each sample


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a generator by the maximum mean discrepancy between its samples and the data."""

    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 10
    """Dimensions of z, uniform in [-1, 1]."""
    hidden: tuple[int, ...] = (64, 256, 256, 1024)
    """Widths of the generator's layers."""
    kernel_variances: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
    """The kernel is the sum of exp(-d^2 / (2 variance)); of Li et al., who call it sigma."""
    distance: Literal["biased_root", "unbiased_squared"] = "biased_root"
    """What the generator lowers: the root of the biased MMD^2, or the unbiased MMD^2."""
    images: Images = Images()
    training: Training = Training(steps=3_000, batch_size=1_000, evaluate_every=300)
    optimizer: Optimizer = Optimizer(schedule="cosine")
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden)
        variances_in_range(self.kernel_variances)


def build_model(config: Config) -> ImplicitModel:
    """The generator that the config names."""
    from flax.linen import Sequential, sigmoid

    from genjax_models.models.implicit import implicit_model

    network = Sequential([gx.MLPGenerator(config.shape, config.hidden), sigmoid])
    return implicit_model(network, config.latent, noise="uniform")


def build(config: Config) -> Objective:
    """The objective that the config names."""
    from genjax_models.objectives.gmmn import gmmn

    return gmmn(build_model(config), kernel_of(config.kernel_variances), distance=config.distance)


def kernel_of(variances: tuple[float, ...]) -> Kernel:
    """The sum of Gaussian kernels of these variances."""
    return gx.gaussian_kernel([math.sqrt(variance) for variance in variances])


def variances_in_range(variances: tuple[float, ...]) -> None:
    """Refuses a kernel of no variances, or of one that is not positive."""
    whole(1, number_of_kernel_variances=len(variances))
    for variance in variances:
        positive(kernel_variances=variance)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, and the config with its shape."""
    loaded = gx.load(config.data, range=config.data_range, images=config.images.options())
    return dataclasses.replace(config, shape=loaded.shape), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Grey values in [0, 1]."""
    return gx.prepare(loaded, binarise="none")


def evaluate(config: Config):
    """The distances between held-out data and as many samples, by the kernel of training and on named features."""
    return distances(config, build(config), kernel_of(config.kernel_variances))


def images(config: Config):
    """Draws of x."""
    objective = build(config)
    return lambda players, key, n: objective.sample(players, key, n)


def look(config: Config, players: Players, data: Prepared):
    """The nearest training examples of samples, with what else is known of them; and what the findings need to know."""
    return facts(), [neighbours(config, build(config), players, data)] if drawable(config) else []


# What any generator without a likelihood is looked at by; experiments.gmmn_autoencoder has the same.


def facts():
    """What the findings need to know."""
    from genjax_models.evaluation.findings import Facts

    return Facts(metric=METRIC, higher_is_better=False, unit="")


def drawable(config) -> bool:
    """Whether the examples are images."""
    from genjax_models.runs import pictures

    return pictures.drawable(config.shape)


def features_of(config) -> Features:
    """Those of the classifier of the same data, where the package ships one; else the values themselves."""
    from genjax_models.data.features import SHIPPED, load_features

    names = {shipped.data: name for name, shipped in SHIPPED.items()}
    return load_features(names.get(config.data, "pixels"))


def distances(config, objective: Objective, kernel: Kernel):
    """The squared unbiased MMD by `kernel`, and the kernel distance on `features_of`, each with its standard error."""
    import jax.numpy as jnp

    from genjax_models.estimators.two_sample_test import mmd_squared_and_variance
    from genjax_models.evaluation.features import extract
    from genjax_models.evaluation.kernel_distance import kernel_distance

    features = features_of(config)
    name = f"kernel_distance_on_{features.name}"

    def values(players, key, batch):
        samples = objective.sample(players, key, len(batch.x))
        squared, variance = mmd_squared_and_variance(batch.x, samples, kernel)
        distance, error = kernel_distance(extract(features, samples), extract(features, batch.x))
        return {METRIC: squared, f"{METRIC}_se": jnp.sqrt(variance), name: distance, f"{name}_se": error}

    return values


def neighbours(config, objective: Objective, players: Players, data: Prepared) -> Picture:
    """Samples above their nearest training examples; the caption says what is known of many of them."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.features import extract
    from genjax_models.evaluation.kernel_distance import kernel_distance
    from genjax_models.evaluation.neighbours import data_copying, nearest_neighbours
    from genjax_models.evaluation.parzen_window import parzen_window
    from genjax_models.runs import figures
    from genjax_models.runs.pictures import Picture

    test, train = data.test.x, data.each_step(jax.random.key(0), data.train).x
    samples = jax.jit(lambda players: objective.sample(players, jax.random.key(0), PARZEN_SAMPLES))(players)
    some, shown = samples[: len(test)], samples[:10]
    window = parzen_window(samples, data.validation.x, test, bandwidths=PARZEN_BANDWIDTHS)
    features = features_of(config)
    distance, error = kernel_distance(extract(features, some), extract(features, test))
    few = slice(0, TEST_POINTS)
    p_value = gx.two_sample_test(jax.random.key(1), some[few], test[few], kernel_of(config.kernel_variances)).p_value
    copying = data_copying(some, train, test)
    nearest = train[nearest_neighbours(shown, train).indices[:, 0]]
    caption = (
        f"Samples above the nearest of {len(train):,} training images. Of {len(samples):,} samples: a Parzen window has"
        f" {window.log_likelihood} nats on the test images, at bandwidth {window.bandwidth:.2f}; Li et al. report"
        " 147 +- 2 for a GMMN and 282 +- 2 for one on codes, of 55,000 training images of MNIST. Such a figure"
        f" says little (Theis et al., 2016). Of {len(some):,} samples beside the test images: kernel distance"
        f" {distance:.4f} +- {error:.4f} on {features.name}; nearer to training data than a test image with"
        f" probability {copying.value:.2f} (1/2 is right, 1 is copying). Permutation test of the MMD, of"
        f" {len(some[few]):,} each: p = {p_value:.3f}."
    )
    figure = figures.image_grid(
        jnp.concatenate([shown, nearest]), columns=len(shown), range=data.range, titles=("sample", "nearest")
    )
    return Picture("neighbours", "Nearest training examples", caption, figures.png(figure))


EXPERIMENT = Experiment(
    name="gmmn",
    title="A generative moment matching network",
    config=Config,
    metric=METRIC,
    higher_is_better=False,
    unit="",
    images_are="draws of x = g(z)",
    build=build,
    dataset=dataset,
    prepare=prepare,
    evaluate=evaluate,
    images=images,
    look=look,
    model=build_model,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
