"""The conditional GAN: both players are given the class, and samples are asked for by it (Mirza and Osindero, 2014).

python -m experiments.conditional_gan

The networks are those of experiments.dcgan, where `--conditional` does the same; here it is the default.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

from experiments import dcgan
from genjax_models.runs.command_line import main

if TYPE_CHECKING:
    from genjax_models.types import Objective, Players


@dataclasses.dataclass(frozen=True)
class Config(dcgan.Config):
    """Train a generative adversarial network on images, of which each class can be asked for."""

    conditional: bool = True
    """Whether both networks are given the class of each example."""


build = dcgan.build


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the players of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


EXPERIMENT = dcgan.EXPERIMENT._replace(
    name="conditional_gan", title="A conditional generative adversarial network", config=Config
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
