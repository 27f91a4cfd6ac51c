"""DRAW, a model that paints an image in steps: Gregor, Danihelka, Graves, Rezende and Wierstra, 2015.

python -m experiments.draw                   reads through windows of 2 x 2 filters, writes through windows of 5 x 5
python -m experiments.draw --no-attention    reads and writes whole images

The paper has 64 glimpses and 60,000 images. A VAE with 16 latents (experiments.vae) has a bound of -101.08 +- 0.99.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import tyro

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Likelihood, Optimizer
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train DRAW, which paints an image in steps, and report what each step added."""

    glimpses: int = 10
    """Steps in which an image is read and painted; the paper has 64."""
    attention: tuple[int, int] = (2, 5)
    """Filters per side of the windows through which the model reads and writes."""
    no_attention: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Read and write all pixels at every step."""
    latent: int = 16
    """Dimensions of z per step."""
    hidden: int = 128
    """Width of the encoder's and of the decoder's LSTM."""
    data: Data = Data()
    likelihood: Likelihood = Likelihood()
    training: Training = Training(batch_size=50)
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine", warmup=200, clip=10.0)

    def __post_init__(self):
        super().__post_init__()
        whole(1, glimpses=self.glimpses, latent=self.latent, hidden=self.hidden)
        whole(2, attention=self.attention)


def build(config: Config) -> System:
    """Returns DRAW, learned by the bound with the KL in closed form at every step."""
    from genjax_models.systems.draw import draw_system

    shape, (read_size, write_size) = config.data.shape, config.attention
    if config.no_attention:
        read_size = write_size = None
    sizes = {"read_size": read_size, "write_size": write_size}
    likelihood = config.likelihood.build(shape)
    try:
        model = gx.draw_model(shape, config.glimpses, config.latent, config.hidden, likelihood, **sizes)
    except ValueError as error:
        raise InputError(str(error)) from error
    return draw_system(config, gx.vae(model), model)


EXPERIMENT = Experiment(
    title="DRAW",
    config=Config,
    build=build,
    metric=Metric("bound", "nats", higher_is_better=True),
    caption="E[x | z], the mean of p(x | z), for z from the prior; not draws of x",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
