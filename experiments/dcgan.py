r"""The deep convolutional GAN on images (Radford, Metz and Chintala, 2016).

python -m experiments.dcgan --normalisation none --penalty r1 --penalty-weight 1 --translation 2 --latent 16 \
    --learning-rate 1e-3 --schedule cosine --steps 18000
python -m experiments.dcgan --steps 7000
python -m experiments.dcgan --steps 4000 --data fashion_mnist

mnist10k, seed 0. 1,000 samples compared with the 1,000 test images, on the features of the classifier that the package
ships; "R1" is the first command, the others have batch normalisation as in the paper:

                                        R1               7,000 steps      Fashion-MNIST
Frechet distance                        16.5 +- 1.8      52.3 +- 3.7      24.6 +- 0.5
kernel distance                         1.12 +- 0.27     4.3 +- 0.5       0.92 +- 0.04
precision, recall                       0.76, 0.94       0.73, 0.92       0.60, 0.75
coverage                                0.76 +- 0.03     0.48 +- 0.03     0.34 +- 0.01
diversity relative to the data          0.92 +- 0.01     0.80 +- 0.01     0.77
told apart                              64%              75%              82%
nearer to a training image than a test image is, probability
                                        0.31             0.25
Parzen window on 10,000 samples, nats   157.2 +- 4.6     118.0 +- 4.8     225.5 +- 2.4
minutes                                 26               12               8

Fashion-MNIST: 4,000 steps, 10,000 samples, the 10,000 test images, fashion_classifier. The Parzen window of the GAN of
Goodfellow et al. (2014) is 225 +- 2; it saw all of MNIST, this GAN 8,000 images. With classes
(experiments.conditional_gan) the Frechet distance is 5.7.

Validation Frechet distance on the way: 60 with spectral normalisation, images shifted by up to 2 pixels and 4,000
steps; 72 with batch normalisation and shifts; 32 with the rate 1e-3 and 32 latents besides; 24 after 12,000 such steps.
There the discriminator was at chance. With R1 in place of spectral normalisation it is not as weak: 19 after 9,000
steps.

pictures/dcgan_r1.png has samples of the first run, and pictures/latent_walk_dcgan.png great circles between draws of it
(genjax-models latent-walk): class arithmetic reaches the class in 91% of cases at strength 2 (80% with 7,000 steps).
pictures/dcgan.png has samples of the other two. On one core of an AMD EPYC (jax 0.10.2, CPU), R1 2026-11-29, the others
2026-11-22.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar, Literal

from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, rate, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.games import Game, RegularisedAdversary
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a deep convolutional generative adversarial network on images."""

    convolutional: ClassVar[bool] = True
    conditional: bool = False
    """Give both networks the class of each example (Mirza and Osindero, 2014)."""
    latent: int = 100
    """Dimensions of z."""
    channels: tuple[int, ...] = (64, 128)
    """Channels of the discriminator's levels; each level halves the image. The generator reverses the order."""
    normalisation: Literal["batch", "spectral", "none"] = "batch"
    """Normalisation of the discriminator. The generator has batch normalisation."""
    dropout: float = 0.0
    """Dropout rate of the discriminator."""
    head: Literal["concat", "projection"] = "concat"
    """How the discriminator of a conditional GAN sees the class: as planes of the image, or in the logit."""
    data: Data = Data()
    adversary: RegularisedAdversary = RegularisedAdversary()
    training: Training = Training(steps=6_000, batch_size=64, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(learning_rate=2e-4, b1=0.5)
    game: Game = Game(average=0.999)

    def __post_init__(self):
        super().__post_init__()
        whole(1, latent=self.latent, channels=self.channels)
        rate(dropout=self.dropout)
        if self.adversary.penalty != "none" and self.normalisation == "batch":
            raise InputError(f"penalty {self.adversary.penalty} excludes normalisation batch: use spectral or none")
        if self.head == "projection" and not self.conditional:
            raise InputError("head projection needs a conditional model: use --conditional")
        self.game.check_shares(self.training)


def build(config: Config) -> System:
    """Returns the game of Eq. (20.80) between two convolutional networks."""
    from genjax_models.networks.dcgan import DCGANDiscriminator, DCGANGenerator, smallest_level
    from genjax_models.systems.sampler import adversarial_system

    shape = config.data.shape
    try:
        smallest_level(shape, len(config.channels))
    except ValueError as error:
        raise InputError(f"{config.data}: {error}") from None
    normalisation = None if config.normalisation == "none" else config.normalisation
    generator = DCGANGenerator(shape, config.channels[::-1])
    discriminator = DCGANDiscriminator(shape, config.channels, normalisation, config.dropout, config.head)
    return adversarial_system(config, generator, discriminator)


EXPERIMENT = Experiment(
    title="A deep convolutional generative adversarial network",
    config=Config,
    build=build,
    metric=Metric("kernel_distance"),
    caption="draws of x",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
