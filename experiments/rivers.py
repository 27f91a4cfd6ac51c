"""Did the VAE find the true factors of cartoon rivers (Section 1.3.4 of the draft chapter)?

python -m experiments.rivers --kl-weight 40
"""

from __future__ import annotations

import dataclasses
import sys

from experiments import vae
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training
from genjax_models.runs.protocol import System
from genjax_models.systems.groups import Likelihood, Networks, Optimizer
from genjax_models.systems.settings import FactorData


@dataclasses.dataclass(frozen=True)
class Config(vae.Config):
    """Train a VAE on cartoon rivers, and ask which latent is which factor."""

    latent: int = 8
    """Dimensions of z."""
    kl_weight: float = 40.0
    """Weight of the KL in the loss; the reported bound always has weight 1."""
    data: FactorData = FactorData(name="rivers")
    likelihood: Likelihood = Likelihood("gaussian", scale=0.1)
    networks: Networks = Networks("convolutional", hidden=(128,), channels=(16, 32, 64))
    training: Training = Training(steps=4_000, batch_size=32, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(learning_rate=3e-3, schedule="cosine", warmup=200)


def build(config: Config) -> System:
    """Returns the VAE of `experiments.vae`, judged also by what its latents know of the factors."""
    from genjax_models.systems.known_factors import with_known_factors

    return with_known_factors(vae.build(config), "vae", config.data.factors)


EXPERIMENT = vae.EXPERIMENT._replace(
    title="A VAE on cartoon rivers: which latent is which?", config=Config, build=build
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
