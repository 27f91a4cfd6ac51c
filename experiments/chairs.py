"""A generator of chairs from style and view, without an encoder or an adversary (20.10.2; Dosovitskiy et al., 2015).

python -m experiments.chairs --steps 20000

squared error per number of premultiplied colour, seed 0, of the checkpoint with the least error of interpolation:

                         train            interpolation    transfer
generator                0.00094          0.00125          0.00292 +- 0.00014
mean training picture    0.0136           0.0135           0.0164

20,000 steps of 16 in 54 minutes next to much other work (0.07 s a step on two free cores), AMD EPYC (jax 0.10.2, CPU),
2026-11-28. Only transfer is an untouched test: interpolation chose the checkpoint.

A smaller network does as well on transfer: --upsampling nearest --hidden 256 --joint 256 --channels 96 48 32
--weight-decay 0.1 --steps 15000 has 0.00086, 0.00148 and 0.00286 +- 0.00013, in 33 minutes of processor time
(2026-11-29).

Each upsampling after 1,000 steps. The checkerboard is the relative deviation within blocks of 2 x 2 pixels for a
constant input, in two levels and in the picture:

--upsampling     train      interpolation    transfer    checkerboard
unpool           0.0054     0.0055           0.0072      0.45, 0.45, 0.08
transposed       0.0054     0.0055           0.0071      0.40, 0.47, 0.09
nearest          0.0047     0.0048           0.0062      0, 0, 0

With z given, a generator is easily learned. The style is one of 20 chairs; the view is azimuth and elevation.
Validation is every fifth azimuth (interpolation). Test is elevation 30 of every fourth chair (transfer), which training
shows of other chairs only. Training pictures change at random; the parameters of the changes are factors too.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar, Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training, at_least, rate, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.factors import Changes, CutOuts
from genjax_models.systems.groups import Optimizer
from genjax_models.systems.settings import Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a generator of pictures whose style and view are known."""

    convolutional: ClassVar[bool] = True
    conditional: ClassVar[bool] = True  # the style is a label
    upsampling: Literal["unpool", "transposed", "nearest"] = "nearest"
    """How a level doubles before its convolution: zeros between pixels, a transposed convolution, repeated pixels."""
    channels: tuple[int, ...] = (96, 48, 32)
    """Channels of the levels, from the smallest picture to the largest."""
    hidden: int = 256
    """Width of the layers of style and of view."""
    joint: int = 256
    """Width of the layers of both."""
    kernel: int = 5
    """Height and width of the kernels."""
    mask_weight: float = 0.1
    """Weight of the mask's error."""
    average: float = 0.999
    """Decay of a moving average of the generator, which is judged; 0 keeps none."""
    data: CutOuts = CutOuts()
    changes: Changes = Changes(5.0, 0.025, 0.05, 0.05, 10.0, 0.1, 0.1, still=0.5, mirror=True)
    training: Training = Training(steps=30_000, batch_size=16, evaluate_every=3_000)
    optimizer: Optimizer = Optimizer(learning_rate=1e-3, schedule="cosine", warmup=200, weight_decay=0.1)

    def __post_init__(self):
        super().__post_init__()
        whole(1, channels=self.channels, hidden=self.hidden, joint=self.joint, kernel=self.kernel)
        at_least(0, mask_weight=self.mask_weight)
        rate(average=self.average)


def build(config: Config) -> System:
    """Returns the generator of Dosovitskiy et al. (2015), with the losses of image and mask."""
    from genjax_models.systems.supervised import supervised_system

    config.data.needs_halvings(len(config.channels), f"channels {config.channels}")
    generator = gx.SupervisedGenerator(
        config.data.shape,
        config.data.classes,
        config.data.factors + config.changes.count,
        hidden=config.hidden,
        joint=config.joint,
        channels=config.channels,
        kernel=config.kernel,
        upsampling=config.upsampling,
    )
    return supervised_system(config, generator)


EXPERIMENT = Experiment(
    title="Chairs from style and view",
    config=Config,
    build=build,
    metric=Metric("squared_error_per_number"),
    caption="generated chairs, each of a random style, seen from a view of the validation split",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
