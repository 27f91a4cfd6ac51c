"""Which latent dimension is which factor: beta-VAE, FactorVAE, beta-TCVAE and DIP-VAE on sprites of five known factors.

python -m experiments.disentanglement --objective beta_vae --seeds 0:5 --run-dir runs/beta_vae
python -m experiments.disentanglement --objective factor_vae --seeds 0:5 --run-dir runs/factor_vae --batch-size 128
    and beta_tcvae, dip_vae_i, dip_vae_ii as beta_vae; then, for box plots over seeds and the medians:
python -m experiments.studies.disentanglement --runs runs/beta_vae runs/factor_vae ... --to disentanglement.png

The setting follows Locatello et al. (2019): binary images of 64 x 64, convolutions, 10 latent dimensions, Adam with
1e-4, batches of 64. Differences: they make 300,000 steps on 737,280 images, and their encoder's third and fourth
convolutions are 2 x 2, not 4 x 4. A FactorVAE learns from half of each batch: 64 of 128 images.

A small setting, for 2 cores: --data sprites:32 --network mlp --hidden 256 256 --learning-rate 1e-3 --steps 6000
--evaluate-every 3000 --judge-batches 50 --discriminator 64 64 64. A step of it takes 5 ms of processor time, with
convolutions 54 ms, and with convolutions at 64 x 64 140 ms (beta_vae; 2 cores of AMD EPYC, jax 0.10.2, CPU, 2026-11-28,
next to much other work). At 140 ms the paper's number of steps, --steps 300000, needs 12 hours of processor time a run.
Nobody has made this run yet.

Medians (least to most) over five seeds of the small setting, from the figures of experiments.studies.disentanglement:

               bound (nats)  MIG                  SAP                  FactorVAE score      active dimensions
beta_vae       -29.5         0.04 (0.01 to 0.05)  0.14 (0.10 to 0.19)  0.34 (0.22 to 0.56)   4
factor_vae     -28.1         0.04 (0.01 to 0.07)  0.12 (0.10 to 0.18)  0.48 (0.34 to 0.52)  10
beta_tcvae     -27.9         0.04 (0.01 to 0.11)  0.14 (0.01 to 0.26)  0.34 (0.20 to 0.58)   5
dip_vae_i      -29.3         0.03 (0.01 to 0.08)  0.09 (0.02 to 0.16)  0.52 (0.30 to 0.56)  10
dip_vae_ii     -25.6         0.02 (0.01 to 0.04)  0.11 (0.02 to 0.21)  0.30 (0.26 to 0.44)   5

After 2% of the paper's steps, seeds differ more than objectives, as in the paper. 25 runs took 20 minutes.

Strengths in the study of Locatello et al., with the default here in brackets:

beta_vae      weight of the KL                     1, 2, [4], 6, 8, 16        Higgins et al., 2017
factor_vae    weight of the total correlation      10, 20, [30], 40, 50, 100  Kim and Mnih, 2018
beta_tcvae    weight of the total correlation      1, 2, 4, [6], 8, 10        Chen et al., 2018
dip_vae_i     weight of the covariances of means   1, 2, [5], 10, 20, 50      Kumar et al., 2018; variances: ten times
dip_vae_ii    weight of the covariances of q(z)    1, 2, [5], 10, 20, 50      Kumar et al., 2018; variances: the same

The final evaluation has the bound, the reconstruction, MIG, modularity, DCI, SAP, the scores of FactorVAE and beta-VAE,
and the total correlation of the means.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training, at_least, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Likelihood, Networks, Optimizer
from genjax_models.systems.settings import FactorData, Settings

STRENGTHS = {"beta_vae": 4.0, "factor_vae": 30.0, "beta_tcvae": 6.0, "dip_vae_i": 5.0, "dip_vae_ii": 5.0}


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a VAE that is pressed to give each factor of variation a dimension of its own."""

    objective: Literal["beta_vae", "factor_vae", "beta_tcvae", "dip_vae_i", "dip_vae_ii"] = "beta_vae"
    """Objective."""
    strength: float | None = None
    """Weight of the objective's penalty. Default: 4, 30, 6, 5 and 5, in the order of objectives."""
    discriminator: tuple[int, ...] = (1_000,) * 6
    """Widths of the layers of the discriminator of codes, for factor_vae."""
    latent: int = 10
    """Dimensions of z."""
    judge_batches: int = 100
    """Batches of 64 new images that train the scores of FactorVAE and beta-VAE, and again that judge them; 0 leaves the
    scores out."""
    data: FactorData = FactorData("sprites", shape=(64, 64, 1))
    likelihood: Likelihood = Likelihood()
    networks: Networks = Networks("convolutional", hidden=(256,), channels=(32, 32, 64, 64))
    training: Training = Training(steps=30_000, batch_size=64, evaluate_every=5_000)
    optimizer: Optimizer = Optimizer(learning_rate=1e-4)

    def __post_init__(self):
        super().__post_init__()
        whole(2, latent=self.latent)
        whole(1, discriminator=self.discriminator)
        whole(0, judge_batches=self.judge_batches)
        at_least(0, strength=self.weight)

    @property
    def weight(self) -> float:
        """The strength, or the default of the objective."""
        return STRENGTHS[self.objective] if self.strength is None else self.strength


def build(config: Config) -> System:
    """Returns one model with the objective that the config names."""
    from genjax_models.systems.disentanglement import source_of, with_disentanglement
    from genjax_models.systems.latent_variable import latent_variable_system

    posterior, likelihood = gx.diagonal_gaussian(config.latent), config.likelihood.build(config.data.shape)
    encoder, generator = config.networks.build(config.data, posterior.outputs, likelihood.outputs)
    model = gx.latent_variable_model(encoder, posterior, generator, likelihood)
    weight, optimizer = config.weight, config.optimizer
    optimizers = {}
    match config.objective:
        case "beta_vae":
            objective = gx.vae(model, kl_weight=weight)
        case "factor_vae":
            discriminator = gx.MLPDiscriminator((config.latent,), config.discriminator)
            objective = gx.factor_vae(model, discriminator, total_correlation_weight=weight)
            optimizers["discriminator"] = dataclasses.replace(optimizer, b1=0.5, b2=0.9)
        case "beta_tcvae":
            objective = gx.beta_tcvae(model, dataset_size=config.data.examples, total_correlation_weight=weight)
        case "dip_vae_i":
            objective = gx.dip_vae(model, kind="i", off_diagonal_weight=weight, diagonal_weight=10 * weight)
        case "dip_vae_ii":
            objective = gx.dip_vae(model, kind="ii", off_diagonal_weight=weight, diagonal_weight=weight)
    each = {player: optimizers.get(player, optimizer).build(config.training.steps) for player in objective.losses}
    system = latent_variable_system(config, objective, model, trainer=gx.trainer(objective, each))
    player, *_ = objective.losses
    source, names = source_of(config.data.name), config.data.factors
    return with_disentanglement(system, player, names, source=source, batches=config.judge_batches)


EXPERIMENT = Experiment(
    title="One dimension for each factor",
    config=Config,
    build=build,
    metric=Metric("bound", "nats", higher_is_better=True),
    caption="E[x | z], the mean of p(x | z), for z from the prior; not draws of x",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
