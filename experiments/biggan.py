"""BigGAN: residual blocks, classes by conditional normalisation and projection, one latent chunk per level.

python -m experiments.biggan --evaluate-every 250
python -m experiments.biggan --data emoji        1,377 colour pictures in nine groups
python -m experiments.biggan --data rivers:32    cartoon rivers in three classes: left, straight on, right
python -m experiments.biggan --preset cifar      tfds:cifar10, 4 moves of 50 images a step; for one GPU, only dry-run

mnist10k, seed 0. Class accuracy is the share of 10,000 samples that the shipped classifier assigns to their class
(98.9% of test images). The distances compare 1,000 samples with the 1,000 test images, on its features:

                               class      Frechet       kernel
                            accuracy     distance     distance     coverage    minutes
6,500 steps                    94.6%   14.3 +- 1.6  0.61 +- 0.25  0.74 +- 0.03      43
--resume RUN --steps 10500     96.2%    9.4 +- 1.4  0.32 +- 0.24  0.82 +- 0.02      74
SMALL, 12,000 steps            96.2%   11.7 +- 1.2  0.32 +- 0.17  0.77 +- 0.02      10
conditional GAN                96.8%    5.7 +- 1.1  0.10 +- 0.16  0.87 +- 0.03       8

SMALL = --channels 16 16 --discriminator-channels 16 32 --batch-size 32 --learning-rate 1e-3, here with --schedule
cosine --steps 12000 --evaluate-every 4000: 10 minutes of processor time, diversity 0.99 +- 0.01, 3,000 samples for the
class accuracy. pictures/biggan_principal.png has principal directions of this run, which change slant, weight and form.

So it does not beat the conditional GAN. It learns slowly (classes are right for 21% of samples at step 1,000, 46% at
2,000, 85% at 3,000), and still improved at both ends. One busy core of an AMD EPYC (jax 0.10.2, CPU), 2026-11-29.
pictures/biggan.png has a row per class and pictures/biggan_truncation.png one per truncation, both of SMALL;
pictures/biggan_interpolation.png has one per pair of classes, after 10,500 steps of the defaults. Nearly all samples
are legible; some of 5 and 8 are no digits.

Emoji (--data emoji --translation 4 --steps 5000 --evaluate-every 500): faces, flags and hearts can be told; most of the
rest are coloured blobs. 25 minutes of processor time. The kernel distance on pixels is 0.026 at step 1,000 and 0.037 at
5,000, so that the best checkpoint is blurred; pictures/biggan_emoji.png is of the last one (--checkpoint last), and
pictures/biggan_emoji_grid.png has two closed-form directions. pictures/biggan_statistics.png is of step 1,000 at
truncation 0.04: with running averages of the statistics, averaged weights give grey pictures; with standing statistics
they do not.

Without one part: 3,000 steps of SMALL take 3.1 minutes of processor time, compilation included. Each part was left out
with one flag (SMALL --steps 3000 --evaluate-every 3000, seed 0; 3,000 samples for the class accuracy). "Last weights"
are --average 0. One core of an AMD EPYC with AVX-512 (jax 0.10.2, CPU), next to much other work, 2026-11-29.

                              class        Frechet         kernel       coverage
averaged weights
  default              85.2 +- 0.7%    25.7 +- 2.3   1.03 +- 0.21   0.69 +- 0.03
  --head concat        73.6 +- 0.8%    46.2 +- 3.7   2.87 +- 0.39   0.52 +- 0.03
  --no-hierarchical    83.0 +- 0.7%    57.8 +- 3.7   3.21 +- 0.38   0.39 +- 0.03
  --attention none     82.2 +- 0.7%    24.3 +- 2.1   0.94 +- 0.19   0.62 +- 0.03
  --orthogonal 0       88.6 +- 0.6%    55.0 +- 3.3   2.80 +- 0.42   0.41 +- 0.02
last weights
  default              96.2 +- 0.4%    18.3 +- 1.9   1.20 +- 0.38   0.65 +- 0.03
  --head concat        83.0 +- 0.7%    20.5 +- 2.1   0.97 +- 0.26   0.61 +- 0.02
  --no-hierarchical    79.1 +- 0.7%    65.6 +- 3.5   3.72 +- 0.38   0.34 +- 0.03
  --attention none     84.0 +- 0.7%    30.0 +- 2.7   2.06 +- 0.36   0.55 +- 0.02
  --orthogonal 0       84.1 +- 0.7%    90.8 +- 4.5   5.11 +- 0.52   0.29 +- 0.02

Errors are of samples: other seeds were not trained, and last weights also vary from step to step. Beyond two errors of
a difference: with all of z in the first layer, Frechet distance and coverage are worse for both kinds of weights. With
the class as planes, class accuracy is lower for both, and the averaged weights' Frechet distance 20 higher. Without
attention, class accuracy is lower for both, and the last weights' Frechet distance 12 higher. Without the orthogonal
penalty, Frechet distance and coverage are worse for both; the average's class accuracy is 3% higher. The average lags
behind: its class accuracy is 11% lower than the last weights', and its Frechet distance 7 higher.

Fashion-MNIST (SMALL --data fashion_mnist --average 0 --steps 3000 --evaluate-every 3000): 83.3 +- 0.4% of 10,000
samples have their class (89.6% of test images), Frechet distance 23.3 +- 0.4, diversity 0.83; 4.4 minutes of processor
time. Trousers, shoes and boots are clear, and dresses (3) are broken: pictures/biggan_fashion.png.

Rivers (SMALL --data rivers:32 --average 0 --steps 1500 --evaluate-every 1500): 2.7 minutes of processor time up to the
last step; kernel distance on pixels 0.0119 +- 0.0008. pictures/biggan_rivers.png has walks from class to class, and
pictures/biggan_rivers_walk.png closed-form directions: the first one moves the chunk of z of the first block, and
changes the grass. Samples have few courses, and trees are blurred.

A step of the preset cifar has 4.0 TFLOP (forward, 1.2 and 0.66 billion multiplications per image in G and D). At 20
TFLOP/s its 100,000 steps take 5.5 hours: counted, not measured.

The networks follow Brock et al. (2019), in sizes for a CPU. Orthogonal penalty, moving average, truncation and
standing statistics are theirs too. On 8,000 images a sketch with 2 moves of the discriminator at 4e-4, and 1e-4 for
the generator, did not learn: after 20 steps the discriminator told 99.8% apart. Here both make 1 move at 2e-4, the
discriminator takes means over pixels, and it sees images shifted by up to 2 pixels. In means over 100 steps it told
50% to 52% apart.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar

from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, positive, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.games import Game, RegularisedAdversary
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.residual_networks import ResidualNetworks
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a BigGAN on images with classes. --preset cifar has the networks and the schedule of CIFAR-10."""

    convolutional: ClassVar[bool] = True
    conditional: ClassVar[bool] = True
    latent: int = 60
    """Dimensions of z, a multiple of the number of the generator's blocks plus 1."""
    truncations: tuple[float, ...] = (2.0, 1.0, 0.5, 0.04)
    """Truncations of z in the report's pictures."""
    data: Data = Data()
    networks: ResidualNetworks = ResidualNetworks()
    adversary: RegularisedAdversary = RegularisedAdversary(loss="hinge", orthogonal=1e-4, translation=2)
    training: Training = Training(steps=6_500, batch_size=64, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, b1=0.0)
    game: Game = Game(average=0.999)

    def __post_init__(self):
        super().__post_init__()
        whole(1, latent=self.latent)
        if not self.truncations:
            raise InputError("truncations must name at least one, got none")
        for truncation in self.truncations:
            positive(truncations=truncation)
        self.networks.check_latent(self.latent)
        self.game.check_shares(self.training)


def build(config: Config) -> System:
    """Returns the game of two residual networks."""
    from genjax_models.systems.class_pictures import with_class_pictures
    from genjax_models.systems.sampler import adversarial_system

    networks = config.networks.build(config.data, config.latent)
    return with_class_pictures(adversarial_system(config, *networks), config.truncations)


CIFAR = {
    "data.name": "tfds:cifar10",
    "latent": 128,
    "networks.channels": (256, 256, 256),
    "networks.discriminator_channels": (256, 256, 256, 256),
    "networks.shared": 128,
    "networks.attention": "none",
    "networks.pooling": "sum",
    "networks.initial": "normal",
    "adversary.translation": 0,
    "training.batch_size": 200,
    "training.steps": 100_000,
    "game.discriminator_moves": 4,
}

EXPERIMENT = Experiment(
    title="BigGAN: a class-conditional generative adversarial network of residual blocks",
    config=Config,
    build=build,
    metric=Metric("kernel_distance"),
    caption="draws of x",
    presets={"cifar": CIFAR},
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
