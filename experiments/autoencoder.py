"""A plain autoencoder on images (1.3.1): what reconstructs well need not generate.

python -m experiments.autoencoder

held-out squared error: 11.39 +- 0.19 per image   (1,000 test images of mnist10k, grey; seed 0)
5,000 steps of 100 in about 20 s, on 2 cores of an AMD EPYC (jax 0.10.2, CPU), 2026-11-21
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Literal

import tyro

import genjax_models as gx
from experiments.vae import networks, with_shape
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.models import AutoencoderModel
    from genjax_models.types import Objective, Players


@dataclasses.dataclass(frozen=True)
class Config:
    """Train an autoencoder and see what becomes of noise in its latent space."""

    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 16
    """Dimensions of z."""
    network: Literal["mlp", "convolutional"] = "mlp"
    """Kind of encoder and generator."""
    hidden: tuple[int, ...] = (500, 500)
    """Widths of the fully connected layers of the encoder; the generator's are reversed."""
    channels: tuple[int, ...] = (32, 64)
    """Of the convolutional encoder's levels; the generator's are reversed."""
    images: Images = Images()
    training: Training = Training(steps=5_000, evaluate_every=500)
    optimizer: Optimizer = Optimizer(schedule="cosine")
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden, channels=self.channels)


def build_model(config: Config) -> AutoencoderModel:
    """The networks that the config names."""
    encoder, generator = networks(config, (config.latent,), config.shape)
    return gx.autoencoder_model(encoder, generator, config.latent)


def build(config: Config) -> Objective:
    """The objective that the config names."""
    return gx.autoencoder(build_model(config))


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, and the config with its shape."""
    loaded = config.images.load(config.data, config.data_range)
    return with_shape(config, loaded), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Grey values in [0, 1]."""
    return gx.prepare(loaded, binarise="none")


def evaluate(config: Config):
    """The squared error of each held-out example."""
    model = build_model(config)
    return lambda players, key, batch: gx.held_out_error(model, players["autoencoder"], key, batch.x)


def images(config: Config):
    """g(z) for z ~ N(0, I)."""
    return lambda players, key, n: build(config).sample(players, key, n)


def look(config: Config, players: Players, data: Prepared):
    """Reconstructions beside decoded noise, and the codes; and what the findings need to know."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import pictures

    model, variables, test = build_model(config), players["autoencoder"], data.test
    codes = jax.jit(model.encode)(variables, test.x)
    shown = []
    if pictures.drawable(config.shape):
        back = jax.jit(model.generate)(variables, codes[:10])
        noise = build(config).sample(players, jax.random.key(0), 10)
        shown.append(pictures.reconstructions_and_noise(test.x[:10], back, noise, data.range))
    if config.latent > 1:
        spread = jnp.std(codes, axis=0)
        what = (
            f"Codes f(x) of the test set in the two widest dimensions. Over all dimensions their standard deviation is"
            f" {spread.min():.1f} to {spread.max():.1f} around means of {codes.mean(0).min():.1f} to"
            f" {codes.mean(0).max():.1f}, where N(0, I) has 1 and 0: nothing asked them to fill it, so decoded noise"
            f" (Samples) is no digit. That is why 1.3.1 asks for p(z)."
        )
        shown.append(pictures.latent_space(codes, test.label, spread, what))
    return Facts(metric="squared_error", higher_is_better=False, unit="squared pixels"), shown


EXPERIMENT = Experiment(
    name="autoencoder",
    title="An autoencoder",
    config=Config,
    metric="squared_error",
    higher_is_better=False,
    unit="squared pixels",
    images_are="g(z) for noise z ~ N(0, I): the decoder of a code that no image has",
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
