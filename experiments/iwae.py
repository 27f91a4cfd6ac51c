"""The importance-weighted autoencoder and the VAE, trained as in Burda, Grosse and Salakhutdinov, 2015.

python -m experiments.iwae --objective iwae --num-samples 50

The setting is theirs: networks (tanh, 784-200-200-50 and, with --layers 2, 784-200-200-100 and 100-100-100-50),
batches of 20, pixels binarised anew at every step, Adam with stages of 3^i epochs at the rate 0.001 * 10^(-i/7), i = 0,
1, ..., and an output bias that starts at the logit of the training mean. They ran eight stages; here five stages are
121 epochs, 48,400 steps of mnist10k. Their eps of 1e-4 is for gradients summed over 20 examples; for a mean it is 5e-6.

NLL(5000) in nats on 1,000 test images of mnist10k (8,000 for training), and active units, by seed:

                    k = 1                    k = 5                    k = 50
1 layer   IWAE      98.09, 97.92, 98.54      96.56, 96.58, 96.73      95.73, 95.70, 95.75
          units     22, 28, 23               39, 31, 26               45, 47, 34
          VAE       the same                 96.62, 96.63, 96.58      95.95, 96.10, 96.21
          units     the same                 21, 21, 21               21, 21, 21
2 layers  IWAE      97.00, 97.19, 97.09      95.75, 95.66, 96.02      95.28, 95.45, 95.24
          units     100 + 9, 8, 9            100 + 9, 10, 11          100 + 13, 11, 13
          VAE       the same                 95.73, 95.44, 95.21      94.63, 94.68, 94.73
          units     the same                 100 + 13, 10, 12         100 + 14, 13, 13
Burda et al., 60,000 training images, eight stages:
1 layer   IWAE      86.76 (19)               85.54 (22)               84.78 (25)
          VAE       86.76 (19)               86.47 (20)               86.35 (20)
2 layers  IWAE      85.33                    83.89                    82.90

The standard error over images is 0.8 to 0.9; all models have the same images. More samples give a better model, with
more active units. Unlike in the paper, the VAE gains as much from k as the IWAE, and more with two layers. The VAE's
objective is the same for all k. The noise of the gradient differs, and so does the progress in 48,400 steps (on
training images, one layer: -100.2, -97.7, -96.7 nats). The paper's runs were 200 times as long. A learning rate that
falls to zero does as much against noise (--schedule cosine, one layer, seed 0): all models improve, and the IWAE leads:

                    k = 1                    k = 5                    k = 50
1 layer   IWAE      96.35                    95.09                    94.38
          VAE       the same                 95.36                    94.73

A KL in closed form, with one sample and stages, gives 97.83, 97.60, 97.68. By k-hat, the NLL(5000) is reliable for
hardly any image; k-hat cannot see a mode of the posterior that the encoder misses. By annealing from the encoder
(genjax-models likelihood --start encoder, 50 images), -log p(x) is 0.93 +- 0.18 nats lower at k = 1, and 1.01 +- 0.21
at k = 50.

Fashion-MNIST, 10,000 test images, --data fashion_mnist --latent 100 40 --batch-size 100 --steps 50000
--evaluate-every 5000 --log-every 500: VAE (--objective vae --num-samples 1) 236.28 +- 0.76, IWAE (k = 5)
234.59 +- 0.76. A VAE with other networks and longer training has 228.7 in the literature (Norouzi, Fleet and Norouzi,
2020).

A run takes from one minute (k = 1, one layer) to 12 (k = 50, two layers) on one core of AMD EPYC (jax 0.10.2, CPU),
2026-11-22.

With the full MNIST (a folder of idx files or tfds:mnist) and --stages 8, the same command gives the paper's table.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Literal

import genjax_models as gx
from genjax_models.commands.train import main
from genjax_models.errors import InputError
from genjax_models.runs.configuration import whole
from genjax_models.runs.protocol import Experiment, Metric, System
from genjax_models.systems.binarisation import Binarise, binarisation_of
from genjax_models.systems.groups import Optimizer, StagedTraining
from genjax_models.systems.precision import Precision, at_precision
from genjax_models.systems.settings import Data, Settings


@dataclasses.dataclass(frozen=True)
class Config(Settings):
    """Train an importance-weighted autoencoder, or a VAE with k samples, and report its NLL."""

    objective: Literal["iwae", "vae"] = "iwae"
    """Objective: the bound L_k, or the mean of k estimates of the ELBO."""
    num_samples: int = 50
    """k, samples of q per example in training."""
    gradient: Literal["standard", "sticking_the_landing", "doubly_reparameterized"] = "standard"
    """Estimator of the encoder's gradient, for objective iwae."""
    chunk: int | None = None
    """Number of samples in memory at a time, for objective iwae. Default: all. With thousands of samples, a smaller
    chunk takes a quarter to a third longer."""
    layers: Literal[1, 2] = 1
    """Number of stochastic layers."""
    latent: tuple[int, ...] = (100, 50)
    """Dimensions of z_1 and z_2. A model with one layer uses only the last."""
    hidden: tuple[int, ...] = (200, 100)
    """Widths of the two hidden layers next to the data, and of the two between z_1 and z_2."""
    judge_samples: int = 5_000
    """k of NLL(k) on the test split."""
    binarise: Binarise = "auto"
    """How values in [0, 1] become binary: drawn anew at every step, drawn once, or cut at one half. auto: dynamic for
    grey images, none for binary data."""
    precision: Precision = "float32"
    """Precision of the networks; parameters and estimators are float32. For accelerators: slower on a CPU."""
    data: Data = Data()
    training: StagedTraining = StagedTraining(batch_size=20, evaluate_every=4_840, log_every=484)
    optimizer: Optimizer = Optimizer(schedule="stages", eps=5e-6)

    def __post_init__(self):
        super().__post_init__()
        whole(1, num_samples=self.num_samples, judge_samples=self.judge_samples, latent=self.latent, hidden=self.hidden)
        for name, sizes in (("latent", self.latent), ("hidden", self.hidden)):
            if len(sizes) != 2:
                raise InputError(f"{name} must be two sizes, the layer next to the data first, got {sizes}")
        if self.chunk is not None:
            whole(1, chunk=self.chunk)
        if self.objective == "vae" and (self.chunk is not None or self.gradient != "standard"):
            raise InputError(f"chunk and gradient need objective iwae, got {self.chunk} and {self.gradient} for vae")

    def load(self):
        """Returns the config, with the steps of its stages and the binarisation, and the data."""
        config, dataset = super().load()
        training = config.training.of_stages(len(dataset.train.x), config.optimizer.stages)
        binarise = binarisation_of(dataset, config.binarise)
        return dataclasses.replace(config, training=training, binarise=binarise), dataset


def build(config: Config) -> System:
    """Returns the networks of Burda et al., with one stochastic layer or two, and tanh between."""
    import jax.numpy as jnp

    from genjax_models.systems.hierarchical import hierarchical_system

    (lower, upper), (wide, narrow) = config.latent, config.hidden
    likelihood = gx.bernoulli(config.data.shape)
    first = gx.diagonal_gaussian(upper if config.layers == 1 else lower)
    encoder = gx.MLPEncoder(config.data.shape, first.outputs, (wide, wide), jnp.tanh)
    generator = gx.MLPGenerator(likelihood.outputs, (wide, wide), jnp.tanh)
    encoder, generator = at_precision(config.precision, encoder, generator)
    if config.layers == 1:
        model = gx.starting_at_data_mean(gx.latent_variable_model(encoder, first, generator, likelihood))
    else:
        second = gx.diagonal_gaussian(upper)
        upper_encoder = gx.MLPEncoder((lower,), second.outputs, (narrow, narrow), jnp.tanh)
        upper_generator = gx.MLPGenerator(first.outputs, (narrow, narrow), jnp.tanh)
        upper_encoder, upper_generator = at_precision(config.precision, upper_encoder, upper_generator)
        encoders, generators = (encoder, upper_encoder), (generator, upper_generator)
        model = gx.hierarchical_model(encoders, (first, second), generators, (likelihood, first))
        model = gx.starting_at_data_mean(model, "generators_0")
    if config.objective == "vae":  # without a closed KL (1.28), as in the paper
        objective = gx.vae(model, num_samples=config.num_samples, form="monte_carlo")
        return hierarchical_system(config, objective, model, bound_samples=1)
    options = {"num_samples": config.num_samples, "gradient": config.gradient, "chunk": config.chunk}
    return hierarchical_system(config, gx.iwae(model, **options), model, bound_samples=config.num_samples)


EXPERIMENT = Experiment(
    title="An importance-weighted autoencoder",
    config=Config,
    build=build,
    metric=Metric("bound", "nats", higher_is_better=True),
    caption="E[x | z], the mean of p(x | z), for z from the prior; not draws of x",
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
