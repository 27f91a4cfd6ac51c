"""A restricted Boltzmann machine, learned with chains that persist: Smolensky, 1986; Tieleman, 2008.

python -m experiments.rbm --hidden 500 --steps 80000 --evaluate-every 20000
python -m experiments.rbm --hidden 500 --steps 12000

test log-likelihood in nats of 1,000 images of mnist10k, binarised at every step (seed 0), with log Z by annealing of
100 chains over 10,000 temperatures; errors of the first column leave out that of log Z:

80,000 steps    -88.95 +- 0.80    log Z 535.92 +- 0.13    7.5 minutes of processor time (seeds 1, 2: -90.20, -90.37)
12,000 steps    -94.81 +- 0.84    log Z 474.21 +- 0.28    9 minutes on one busy core

The VAE of 16 latents has a bound of -101.08. With 2,000 temperatures, log Z of one state was 470.2 on one evaluation
and 473.2 on another: too few can choose the wrong checkpoint. AMD EPYC (jax 0.10.2, CPU), 2026-11-29.

Bars and stripes, where all is exact (--data bars_and_stripes --hidden 24 --chains 1000 --sweeps 10 --batch-size 120
--learning-rate 0.05 --steps 100000 --evaluate-every 20000): -3.43 nats after 40,000 steps, 0.03 below the -3.40 of the
data, and -3.44 after 100,000; 2.2 minutes of one core with AVX-512. With one sweep per step, a rate of 0.1 and 40,000
steps it has -3.48 after 10,000 steps and -4.14 after 40,000: the machine gets sharper, and its chains no longer mix.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import ClassVar

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.runs.configuration import Training, positive, rate, whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.groups import Bits
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train a restricted Boltzmann machine, and report log p(x) of held-out data with an estimate of log Z."""

    depends_on_steps: ClassVar[str] = "the learning rate, which falls to 0,"

    hidden: int = 500
    """Number of hidden units."""
    chains: int = 100
    """Number of chains that persist."""
    sweeps: int = 1
    """Gibbs sweeps of the chains per step."""
    sample_sweeps: int = 1_000
    """Gibbs sweeps of a sample, from the chains."""
    temperatures: int = 10_000
    """Temperatures of the annealing that estimates log Z. Up to 20 units in a layer, log Z is exact."""
    learning_rate: float = 0.05
    """Learning rate of gradient descent at the start. It falls linearly to 0."""
    average: float = 0.999
    """Decay of a moving average of the parameters, which is judged and drawn from; 0 keeps none."""
    data: Data = Data()
    bits: Bits = Bits()
    training: Training = Training(steps=12_000, evaluate_every=3_000)

    def __post_init__(self):
        super().__post_init__()
        whole(1, hidden=self.hidden, chains=self.chains, sweeps=self.sweeps, sample_sweeps=self.sample_sweeps)
        whole(2, temperatures=self.temperatures)
        positive(learning_rate=self.learning_rate)
        rate(average=self.average)


def build(config: Config) -> System:
    """Returns the machine, whose visible bias starts at the logit of the data mean."""
    from genjax_models.systems.energies import restricted_system

    machine = gx.restricted_boltzmann_machine(config.data.shape, config.hidden, data_mean="batch")
    counts = {"num_chains": config.chains, "sweeps": config.sweeps, "sample_sweeps": config.sample_sweeps}
    return restricted_system(config, gx.persistent_contrastive_divergence(machine, **counts), machine)


EXPERIMENT = Experiment(
    title="A restricted Boltzmann machine",
    config=Config,
    build=build,
    metric=Metric("log_likelihood", "nats", higher_is_better=True),
    caption="p(v = 1 | h) after Gibbs sweeps from the chains; not draws of v",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
