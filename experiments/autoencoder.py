"""A plain autoencoder on images (1.3.1): good reconstructions do not imply good samples.

python -m experiments.autoencoder

held-out squared error: 11.39 +- 0.19 per image   (1,000 test images of mnist10k, grey; seed 0)
5,000 steps of 100 examples in about 20 s, on 2 cores of an AMD EPYC (jax 0.10.2, CPU), 2026-11-21
"""

from __future__ import annotations

import dataclasses
import sys

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Networks, Optimizer
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train an autoencoder, and decode noise from its latent space."""

    latent: int = 16
    """Dimensions of z."""
    data: Data = Data()
    networks: Networks = Networks()
    training: Training = Training(steps=5_000, evaluate_every=500)
    optimizer: Optimizer = Optimizer(schedule="cosine")

    def __post_init__(self):
        super().__post_init__()
        whole(1, latent=self.latent)


def build(config: Config) -> System:
    """Returns the autoencoder of 1.3.1: g(f(x)) close to x in squared error."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.findings import Facts
    from genjax_models.figures import pictures

    encoder, generator = config.networks.build(config.data, (config.latent,), config.data.shape)
    model = gx.autoencoder_model(encoder, generator, config.latent)
    objective = gx.autoencoder(model)
    trainer = gx.trainer(objective, {"autoencoder": config.optimizer.build(config.training.steps)})

    def evaluate(players, key, batch):
        return gx.held_out_error(model, players["autoencoder"], key, batch.x)

    def figures(players, data):
        variables, test = players["autoencoder"], data.test
        codes = jax.jit(model.encode)(variables, test.x)
        shown = []
        if pictures.drawable(config.data.shape):
            decoded = jax.jit(model.generate)(variables, codes[:10])
            noise = objective.sample(players, jax.random.key(0), 10)
            shown.append(pictures.reconstructions_and_noise(test.x[:10], decoded, noise, data.range))
        if config.latent > 1:
            spread, means = jnp.std(codes, axis=0), codes.mean(0)
            caption = (
                "Codes f(x) of the test set in the two dimensions of largest standard deviation. Over all dimensions"
                f" the standard deviation is {spread.min():.1f} to {spread.max():.1f} and the mean {means.min():.1f} to"
                f" {means.max():.1f}; N(0, I) has 1 and 0."
            )
            shown.append(pictures.latent_space(codes, test.label, spread, caption))
        return Facts(), shown

    prepare = lambda dataset: gx.prepare(dataset, range=(0, 1))
    return System(objective, trainer, prepare, evaluate, objective.sample, figures, model=model)


EXPERIMENT = Experiment(
    title="An autoencoder",
    config=Config,
    build=build,
    metric=Metric("squared_error", "squared pixels"),
    caption="g(z) for noise z ~ N(0, I): decoded codes that come from no image",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
