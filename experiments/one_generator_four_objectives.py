"""One generator network, trained with four objectives on one budget: the ELBO, the IWAE bound, an adversary and an MMD.

python -m experiments.one_generator_four_objectives --objective vae     and iwae, gan, gmmn

All runs have the same x = g(z), z ~ N(0, I), the same data, batches and number of steps. The table judges g(z). In the
first two models g(z) is E[x | z], without the noise of p(x | z) = N(g(z), sigma^2 I). They also train an encoder, the
mirror image of the generator. The adversary is a discriminator of the same widths. The MMD trains no other network.

             kernel distance   Frechet distance   precision     coverage      NLL(1000), nats
ELBO          8.8 +- 0.6       100 +- 5           0.91 +- 0.02  0.51 +- 0.03  -368.2 +- 3.1
IWAE, k = 5   7.9 +- 0.6        84 +- 4           0.92 +- 0.03  0.58 +- 0.04  -372.6 +- 3.1
adversary     4.8 +- 0.5        53 +- 3           0.88 +- 0.03  0.66 +- 0.03  none
MMD           7.2 +- 0.5        85 +- 4           0.81 +- 0.04  0.42 +- 0.03  none
data         -0.1 +- 0.1       2.4 +- 0.8         0.95 +- 0.01  0.99 +- 0.01

1,000 samples (data: training images) compared with the 1,000 test images of mnist10k, on the features of
mnist_classifier; seed 0, one run each. A two-sample test tells all four from data (p < 1e-70). The adversary has the
penalty R1, of weight 1. Without a penalty (and with dropout, at 3e-4) the generator drew hardly anything but ones.
Likelihoods are densities, at sigma = 0.2.
33 to 137 s each on one core of an AMD EPYC (jax 0.10.2, CPU), 2026-11-22: these times do not compare the objectives.
pictures/one_generator_four_objectives.png and the table come from four runs:

python -m experiments.studies.side_by_side objectives --runs runs/vae runs/iwae runs/gan runs/gmmn --to four.png
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, positive, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.kernels import kernel_of_variances
from genjax_models.systems.settings import Data, Settings

_VARIANCES = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # variances of the kernel of Li et al., 2015


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train one generator network by one of four objectives."""

    objective: Literal["vae", "iwae", "gan", "gmmn"] = "vae"
    """Objective of the generator."""
    latent: int = 10
    """Dimensions of z."""
    hidden: tuple[int, ...] = (256, 512)
    """Widths of the generator's layers; the encoder and the discriminator reverse them."""
    sigma: float = 0.2
    """Scale of p(x | z), for vae and iwae."""
    num_samples: int = 5
    """k, for iwae."""
    average: float = 0.99
    """Decay of the moving average of the generator, which draws the samples."""
    data: Data = Data()
    training: Training = Training(steps=5_000, batch_size=200, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(schedule="cosine")

    def __post_init__(self):
        super().__post_init__()
        whole(1, latent=self.latent, hidden=self.hidden, num_samples=self.num_samples)
        positive(sigma=self.sigma)
        if not 0 < self.average < 1:
            raise InputError(f"average must be in (0, 1), got {self.average!r}")

    @property
    def unused(self) -> set[str]:
        """Fields of other objectives."""
        of_objectives = {"sigma": ("vae", "iwae"), "num_samples": ("iwae",)}
        return super().unused | {field for field, names in of_objectives.items() if self.objective not in names}


def build(config: Config) -> System:
    """Returns the network z -> x in [0, 1] with the objective that the config names."""
    from flax.linen import Sequential, sigmoid

    from genjax_models.systems.sampler import sampler_system, with_likelihood

    shape, widths = config.data.shape, config.hidden[::-1]
    generator = Sequential([gx.MLPGenerator(shape, config.hidden), sigmoid])
    optimizer, likelihood = config.optimizer, config.objective in ("vae", "iwae")
    if likelihood:
        posterior = gx.diagonal_gaussian(config.latent)
        encoder = gx.MLPEncoder(shape, posterior.outputs, widths)
        mean = Sequential([*generator.layers, lambda x: {"mean": x}])
        model = gx.latent_variable_model(encoder, posterior, mean, gx.gaussian(shape, config.sigma))
    else:
        model = gx.implicit_model(generator, config.latent)
    match config.objective:
        case "vae":
            objective = gx.vae(model)
        case "iwae":
            objective = gx.iwae(model, num_samples=config.num_samples)
        case "gan":
            pair = gx.adversarial_pair(generator, gx.MLPDiscriminator(shape, widths), config.latent)
            objective = gx.gan(pair, penalty="r1", penalty_weight=1.0)
            optimizer = dataclasses.replace(optimizer, b1=0.5, learning_rate=5e-4)
        case "gmmn":
            objective = gx.gmmn(model, kernel_of_variances(_VARIANCES))
    transformation = optimizer.build(config.training.steps)
    average = {player: config.average for player in objective.losses if player not in objective.adversaries}
    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, transformation), average=average)
    if not likelihood:
        draw = lambda players, key, n, label=None: model.sample(players["generator"], key, n)
        system = sampler_system(config, objective, trainer, range=(0, 1), draw=draw, block=None)
        return system._replace(model=model)
    k = config.num_samples if config.objective == "iwae" else 1
    return with_likelihood(config, objective, trainer, model, bound_samples=k)


EXPERIMENT = Experiment(
    title="One generator, four objectives",
    config=Config,
    build=build,
    metric=Metric("kernel_distance"),
    caption="g(z) for z ~ N(0, I)",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
