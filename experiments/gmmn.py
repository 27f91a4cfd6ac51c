"""A generative moment matching network on images (20.10.5): Li, Swersky and Zemel, 2015.

python -m experiments.gmmn

held-out squared MMD: 0.0063 +- 0.0009, of the kernel that it was trained by   (1,000 samples beside 1,000 test images)
kernel distance: 5.4 +- 0.5 on mnist_classifier, where training images have -0.07 +- 0.14
two-sample p-value: 0.001, the smallest of 999 permutations: 1,000 samples are told from as many test images
Parzen window on 10,000 samples: 98.9 +- 5.5 nats; Li et al. report 147 +- 2 for theirs, which saw 55,000 images of
MNIST in 40,000 steps, where this one saw 8,000 (mnist10k, grey, seed 0)
3,000 steps of 1,000 examples in 34 min beside much other work, 2 cores of AMD EPYC (jax 0.10.2, CPU), 2026-11-21

--data fashion_mnist, 55,000 training images, 10,000 samples beside the 10,000 test images: squared MMD 0.0038 +-
0.0002, kernel distance 0.64 +- 0.03 on fashion_classifier, coverage 0.48, Parzen window 269.0 +- 2.2 nats, two-sample
p-value 0.050; a classifier tells them apart 78% of the time

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
from experiments import judging
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.estimators.kernels import Kernel
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.runs.pictures import Picture
    from genjax_models.types import Objective, Players


METRIC = "mmd_squared_unbiased"
RANGE = (0, 1)  # of the values of data and samples
TEST_POINTS = 1_000  # of each sample in the permutation test


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
    loaded = config.images.load(config.data, config.data_range)
    return dataclasses.replace(config, shape=loaded.shape), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Grey values in [0, 1]."""
    return gx.prepare(loaded, binarise="none", range=RANGE)


def evaluate(config: Config):
    """The distances between held-out data and as many samples, by the kernel of training and on named features."""
    return distances(config, build(config))


def images(config: Config):
    """Draws of x."""
    objective = build(config)
    return lambda players, key, n: objective.sample(players, key, n)


def look(config: Config, players: Players, data: Prepared):
    """The nearest training examples of samples, with what else is known of them; and what the findings need to know."""
    return facts(), neighbours(config, build(config), players, data)


# The same for any generator of images in [0, 1]; experiments.gmmn_autoencoder has them too.


def facts():
    """What the findings need to know."""
    from genjax_models.evaluation.findings import Facts

    return Facts(metric=METRIC, higher_is_better=False, unit="")


def distances(config, objective: Objective):
    """The squared unbiased MMD by the kernel of pixels, with its standard error, and what `judging` follows."""
    import jax.numpy as jnp

    from genjax_models.estimators.two_sample_test import mmd_squared_and_variance

    kernel = kernel_of(config.kernel_variances)

    def values(players, key, batch):
        samples = objective.sample(players, key, len(batch.x))
        squared, variance = mmd_squared_and_variance(batch.x, samples, kernel)
        figures = {METRIC: squared, f"{METRIC}_se": jnp.sqrt(variance)}
        return figures | judging.followed(samples, batch.x, config.data, RANGE)

    return values


def neighbours(config, objective: Objective, players: Players, data: Prepared) -> list[Picture]:
    """Samples above their nearest training examples, where they are images; the caption says how good many are."""
    import jax

    from genjax_models.runs import pictures

    if not pictures.drawable(config.shape):
        return []

    def draw(n):
        return jax.jit(lambda players: objective.sample(players, jax.random.key(0), n))(players)

    picture = judging.neighbours(draw, data, judging.features_of(config.data, RANGE))
    few = data.test.x[:TEST_POINTS]
    test = gx.two_sample_test(jax.random.key(1), draw(len(few)), few, kernel_of(config.kernel_variances))
    more = (
        f" A permutation test of the MMD, {len(few):,} of each, has p = {test.p_value:.3f}. For Parzen windows on"
        " 10,000 samples Li et al. report 147 +- 2 nats of a GMMN, and 282 +- 2 of one on codes, for 55,000 training"
        " images of MNIST."
    )
    return [picture._replace(caption=picture.caption + more)]


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
