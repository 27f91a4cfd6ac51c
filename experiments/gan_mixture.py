"""Generative adversarial networks on mixtures of Gaussians in the plane, which show how many modes are lost (20.10.4).

python -m experiments.gan_mixture --loss LOSS --seed SEED                                seeds 0, 1 and 2 in columns

                       modes covered    good samples         divergence          total variation
minimax                8   8   4        0.89  0.80  0.85     0.02  0.05  0.54    0.14  0.26  0.50
non_saturating         3   4   6        0.63  0.90  0.90     0.57  0.50  0.29    0.62  0.49  0.34
maximum_likelihood     0   0   0        0.00  0.00  0.00     0.29  1.27  0.61    1.00  1.00  1.00
least_squares          6   5   7        0.93  0.92  0.92     0.26  0.47  0.11    0.26  0.38  0.17
hinge                  6   8   4        0.82  0.92  0.79     0.23  0.02  0.40    0.32  0.10  0.50
wasserstein            0   1   1        0.01  0.03  0.03     2.05  2.08  2.08    0.99  0.97  0.97

python -m experiments.gan_mixture --penalty r1 --penalty-weight 0.1 --average 0.99

non_saturating         8   8   8        0.86  0.86  0.87     0.00  0.00  0.00    0.14  0.14  0.13

--data grid25; a single figure is of seed 0

minimax                9                0.26                 0.40                0.75
non_saturating         11  12  10       0.50  0.59  0.55     0.65  0.64  0.73    0.66  0.64  0.65
least_squares          10               0.52                 0.69                0.67
hinge                  15               0.67                 0.44                0.47
wasserstein            1                0.05                 3.01                0.96
with R1, as above      25  25  21       0.61  0.72  0.53     0.01  0.01  0.04    0.39  0.28  0.47

--data grid25 --loss wasserstein --penalty wasserstein --discriminator-moves 4 --batch-size 512 --average 0.99

wasserstein            25  25  25       0.84  0.83  0.84     0.00  0.00  0.00    0.16  0.17  0.16

10,000 steps, 40 to 150 s each; 10,000 samples of the checkpoint with the least total variation. 2 cores of AMD EPYC
shared with much other work (jax 0.10.2, CPU), 2026-11-21

A good sample is within three standard deviations of a centre (0.06 of a ring of radius 2). A covered mode has at least
a tenth of its share in good samples. The divergence is KL(samples by nearest mode || uniform) in nats: log 8 = 2.08 if
all samples are at one mode. Total variation is the share of samples that would have to move.

Without a penalty, no loss covers the ring with all three seeds, and no loss covers the grid. The maximum-likelihood
payoff loses to its discriminator, as the findings say in training, or is not finite (on grid25 at step 4,666). A critic
without a bound on its slope fails. R1 with a moving average covers the ring, and the grid except four modes of one seed
of three. The penalised critic also covers the grid.
pictures/gan_mixture_ring8.png and gan_mixture_grid25.png have a row per run of seed 0. This command draws them:

python -m experiments.studies.side_by_side modes --runs runs/minimax runs/non_saturating ... --to gan_mixture_ring8.png
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.games import Adversary, Game
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.settings import Points, Settings, flag


@dataclasses.dataclass(frozen=True)
class Modes(Points):
    """Points around known modes."""

    name: Annotated[Literal["ring8", "grid25"], flag(name="data")] = "ring8"
    """8 modes on a circle, or 25 on a grid."""


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a generative adversarial network on points in the plane, and count the covered modes."""

    latent: int = 64
    """Dimensions of z."""
    hidden: tuple[int, ...] = (128, 128, 128)
    """Widths of the layers of both networks."""
    data: Modes = Modes()
    adversary: Adversary = Adversary(penalty_weight=1.0)
    training: Training = Training(batch_size=256)
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, b1=0.5)
    game: Game = Game()

    def __post_init__(self):
        super().__post_init__()
        whole(1, latent=self.latent, hidden=self.hidden)
        self.game.check_shares(self.training)


def build(config: Config) -> System:
    """Returns the game of two small networks; 10,000 samples show which modes they cover."""
    from genjax_models.systems.modes import modes_system

    generator = gx.MLPGenerator(config.data.shape, config.hidden)
    discriminator = gx.MLPDiscriminator(config.data.shape, config.hidden)
    objective = config.adversary.build(gx.adversarial_pair(generator, discriminator, config.latent))
    trainer = config.game.trainer(objective, config.optimizer, config.training.steps)
    model = gx.implicit_model(generator, config.latent)
    return modes_system(config.data.name, objective, trainer, model)


EXPERIMENT = Experiment(
    title="A generative adversarial network on a mixture of Gaussians",
    config=Config,
    build=build,
    metric=Metric("total_variation"),
    caption="draws of x",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
