"""The systems of the trained models that the package ships; `experiments.studies.ship_pretrained` trained them.

They are small systems of the kinds that experiments have: each has a config and a `build`, as an experiment has.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, NamedTuple

import genjax_models as gx
from genjax_models.data.transformations import NAMES
from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genjax_models.runs.configuration import Training
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.factors import Changes, CutOuts
from genjax_models.systems.games import Game, RegularisedAdversary
from genjax_models.systems.groups import Likelihood, Networks, Optimizer
from genjax_models.systems.known_factors import with_known_factors
from genjax_models.systems.latent_variable import latent_variable_system
from genjax_models.systems.sampler import adversarial_system
from genjax_models.systems.settings import Data, FactorData, Settings
from genjax_models.systems.supervised import supervised_system


class Released(NamedTuple):
    """A trained model: its experiment, the player that its file holds, and the digest of the file.

    `figure` names the test figure `value`; both are of the numbers in the file.
    """

    experiment: Experiment
    player: str
    sha256: str
    figure: str
    value: float


@dataclasses.dataclass(frozen=True)
class DigitsVAE(Settings):
    """A VAE of digits with two latents."""

    latent: int = 2
    data: Data = Data()
    likelihood: Likelihood = Likelihood("bernoulli", binarise="dynamic")
    networks: Networks = Networks(hidden=(256, 256))
    training: Training = Training(steps=10_000, evaluate_every=2_500)
    optimizer: Optimizer = Optimizer(learning_rate=2e-3, schedule="cosine", warmup=200)


@dataclasses.dataclass(frozen=True)
class DigitsGAN(Settings):
    """A conditional GAN of digits."""

    conditional: ClassVar[bool] = True
    latent: int = 64
    channels: tuple[int, ...] = (48, 96)
    data: Data = Data(classes=10)
    adversary: RegularisedAdversary = RegularisedAdversary(translation=2)
    training: Training = Training(steps=6_000, batch_size=64, evaluate_every=2_000)
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, b1=0.5)
    game: Game = Game(average=0.999)


@dataclasses.dataclass(frozen=True)
class Chairs(Settings):
    """A generator of chairs from style and view."""

    conditional: ClassVar[bool] = True  # the style is a label
    upsampling: str = "nearest"
    mask_weight: float = 0.1
    average: float = 0.999
    data: CutOuts = CutOuts()
    changes: Changes = Changes()
    training: Training = Training(steps=8_000, batch_size=16, evaluate_every=2_000)
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine", warmup=200)


@dataclasses.dataclass(frozen=True)
class RiversVAE(Settings):
    """A VAE of cartoon rivers with eight latents, and weight 40 of the KL in its loss."""

    latent: int = 8
    kl_weight: float = 40.0
    data: FactorData = FactorData(
        "rivers",
        shape=(64, 64, 3),
        factors=("grass", "water", "heading", "start", "width", "trees", "bend"),
        examples=8_000,
    )
    likelihood: Likelihood = Likelihood("gaussian", scale=0.1, binarise="none")
    networks: Networks = Networks("convolutional", hidden=(96,), channels=(16, 32, 64))
    training: Training = Training(steps=3_000, batch_size=32, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(learning_rate=3e-3, schedule="cosine", warmup=200)


def _vae(config: Any, kl_weight: float = 1.0) -> System:
    posterior, likelihood = gx.diagonal_gaussian(config.latent), config.likelihood.build(config.data.shape)
    encoder, generator = config.networks.build(config.data, posterior.outputs, likelihood.outputs)
    model = gx.latent_variable_model(encoder, posterior, generator, likelihood)
    return latent_variable_system(config, gx.vae(model, kl_weight=kl_weight), model)


def _rivers_vae(config: RiversVAE) -> System:
    return with_known_factors(_vae(config, config.kl_weight), "vae", config.data.factors)


def _digits_gan(config: DigitsGAN) -> System:
    generator = DCGANGenerator(config.data.shape, config.channels[::-1])
    return adversarial_system(config, generator, DCGANDiscriminator(config.data.shape, config.channels))


def _chairs(config: Chairs) -> System:
    factors = config.data.factors + len(NAMES)
    generator = gx.SupervisedGenerator(
        config.data.shape, 20, factors, hidden=192, joint=192, channels=(48, 32, 24), upsampling="nearest"
    )
    return supervised_system(config, generator)


_MEANS = "E[x | z], the mean of p(x | z), for z from the prior; not draws of x"
_BOUND = Metric("bound", "nats", higher_is_better=True)

RELEASED = {
    "digits_vae": Released(
        Experiment("A VAE of digits with two latents", DigitsVAE, _vae, _BOUND, _MEANS),
        "vae",
        "c6d7446b85bef93c1366090467a1cba1f46e5f5358eda9fe197c8c342f5438eb",
        "bound, nats",
        -142.24,
    ),
    "digits_gan": Released(
        Experiment("A conditional GAN of digits", DigitsGAN, _digits_gan, Metric("kernel_distance"), "draws of x"),
        "generator",
        "af099b3f548b05bbacd9708c91f9eeabdc29c36367e71e9700b42774af910783",
        "class accuracy of 1,000 samples",
        0.977,
    ),
    "chairs": Released(
        Experiment(
            "A generator of chairs from style and view",
            Chairs,
            _chairs,
            Metric("squared_error_per_number"),
            "chairs of random styles and views",
        ),
        "generator",
        "fa3eece94a37d9d173a734ef0ebb5d083d606906a72a78bb4419e18477c15a05",
        "squared error per number, transfer",
        0.00334,
    ),
    "rivers_vae": Released(
        Experiment("A VAE of cartoon rivers", RiversVAE, _rivers_vae, _BOUND, _MEANS),
        "vae",
        "fd21db204917c920315d84274238fa39b6e6bde6a1f958ad02062dde7e6c7f4c",
        "bound, nats",
        13_443.0,
    ),
}
