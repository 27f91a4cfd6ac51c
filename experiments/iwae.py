"""The importance-weighted autoencoder beside the VAE, as Burda, Grosse and Salakhutdinov, 2015, trained them.

python -m experiments.iwae --objective iwae --num-samples 50

Their networks (tanh, 784-200-200-50 and, with --layers 2, 784-200-200-100 and 100-100-100-50), batches of 20, pixels
binarised anew at every step, Adam with stages of 3^i epochs at the rate 0.001 * 10^(-i/7), i = 0, 1, ..., and the bias
of the output at the logit of the training mean. They ran eight stages; five are 121 epochs, 48,400 steps of mnist10k.
Their eps of 1e-4 was for gradients summed over 20 examples; of a mean it is 5e-6.

NLL(5000), nats of 1,000 test images of mnist10k (8,000 for training), and active units, by seed:

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

The standard error over images is 0.8 to 0.9, the same images for all. More samples give a better model with more of its
units. Unlike in the paper, the VAE gains by k as much as the IWAE, and with two layers more. Its objective is one for
all k: what differs is the noise of the gradient, and with it how far 48,400 steps come (on training images, one layer:
-100.2, -97.7, -96.7 nats); the paper's runs were 200 times as long. Where the rate falls to zero, which does as much
against noise (--schedule cosine, one layer, seed 0), all are better, and the IWAE is ahead:

                    k = 1                    k = 5                    k = 50
1 layer   IWAE      96.35                    95.09                    94.38
          VAE       the same                 95.36                    94.73

A KL in closed form, with one sample and in stages, has 97.83, 97.60, 97.68. k-hat trusts the NLL(5000) of hardly any
image: by annealing (experiments.likelihood, 50 images) -log p(x) is 0.93 +- 0.18 nats lower at k = 1, 1.01 +- 0.21 at
k = 50.

Fashion-MNIST, 10,000 test images, --data fashion_mnist --latent 100 40 --batch-size 100 --steps 50000
--evaluate-every 5000 --log-every 500: VAE (--objective vae --num-samples 1) 236.28 +- 0.76, IWAE (k = 5)
234.59 +- 0.76. The literature's VAE, of other networks and longer training, has 228.7 (Norouzi, Fleet and Norouzi,
2020).

From one minute a run (k = 1, one layer) to 12 (k = 50, two layers) on one core of AMD EPYC (jax 0.10.2, CPU),
2026-11-22.

With the full MNIST (a folder of idx files or tfds:mnist) and --stages 8 the same command makes their table.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Literal

import tyro

import genjax_models as gx
from experiments.precision import Precision, at, say_where_it_loses
from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Objective, Players


@dataclasses.dataclass(frozen=True)
class InStages(Training):
    """As long as the stages of the schedule, unless a number of steps is given."""

    steps: int | None = None
    """Optimizer steps; by default the epochs of the schedule's stages, 1 + 3 + 9 + ..."""
    batch_size: int = 20
    """Examples in a step."""
    evaluate_every: int = 4_840
    """Steps between evaluations on the validation split, each with samples and a checkpoint."""
    log_every: int = 484
    """Steps over which training metrics are averaged into one row."""

    def __post_init__(self):
        Training(self.steps or 0, self.batch_size, self.evaluate_every, self.log_every)


@dataclasses.dataclass(frozen=True)
class Config:
    """Train an importance-weighted autoencoder, or a VAE with as many samples, and judge it by its NLL."""

    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    binarise: Literal["dynamic", "fixed", "threshold"] = "dynamic"
    """How pixels become binary: drawn anew at every step, drawn once, or cut at one half."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    objective: Literal["iwae", "vae"] = "iwae"
    """What is raised: L_k, or the mean of k estimates of the ELBO."""
    num_samples: int = 50
    """k, samples of q for each example in training."""
    gradient: Literal["standard", "sticking_the_landing", "doubly_reparameterized"] = "standard"
    """Estimator of the encoder's gradient, for the objective iwae."""
    chunk: int | None = None
    """Samples that the networks hold in memory at a time, for the objective iwae; all of them by default. A smaller
    chunk of thousands of samples takes a quarter to a third longer."""
    precision: Precision = "float32"
    """What the networks are computed in; parameters, and all beyond the networks, are float32. For accelerators."""
    layers: Literal[1, 2] = 1
    """Stochastic layers."""
    latent: tuple[int, ...] = (100, 50)
    """Dimensions of z_1, ..., of which a model with one layer has the last."""
    hidden: tuple[int, ...] = (200, 100)
    """Width of the two hidden layers next to the data, and of the two between z_1 and z_2."""
    judge_samples: int = 5_000
    """k of the NLL(k) of the test split."""
    images: Images = Images()
    training: InStages = InStages()
    optimizer: Optimizer = Optimizer(schedule="stages", eps=5e-6)
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, num_samples=self.num_samples, judge_samples=self.judge_samples, latent=self.latent, hidden=self.hidden)
        for name, sizes in (("latent", self.latent), ("hidden", self.hidden)):
            if len(sizes) != 2:
                raise InputError(f"{name} must name two sizes, of the layer next to the data first, got {sizes}")
        if self.chunk is not None:
            whole(1, chunk=self.chunk)
        if self.objective == "vae" and self.chunk is not None:
            raise InputError(f"chunk is of the objective iwae, got {self.chunk} for vae")
        if self.objective == "vae" and self.gradient != "standard":
            raise InputError(f"gradient {self.gradient} is of the objective iwae; that of vae is standard")


def build_model(config: Config) -> LatentVariableModel:
    """One stochastic layer or two, with tanh between."""
    import jax.numpy as jnp

    (lower, upper), (wide, narrow) = config.latent, config.hidden
    likelihood = gx.bernoulli(config.shape)
    below = gx.diagonal_gaussian(upper if config.layers == 1 else lower)
    encoder, generator = at(
        config.precision,
        gx.MLPEncoder(config.shape, below.outputs, (wide, wide), jnp.tanh),
        gx.MLPGenerator(likelihood.outputs, (wide, wide), jnp.tanh),
    )
    if config.layers == 1:
        return gx.starting_at_data_mean(gx.latent_variable_model(encoder, below, generator, likelihood))
    above = gx.diagonal_gaussian(upper)
    encoder_above, generator_above = at(
        config.precision,
        gx.MLPEncoder((lower,), above.outputs, (narrow, narrow), jnp.tanh),
        gx.MLPGenerator(below.outputs, (narrow, narrow), jnp.tanh),
    )
    encoders, generators = (encoder, encoder_above), (generator, generator_above)
    model = gx.hierarchical_model(encoders, (below, above), generators, (likelihood, below))
    return gx.starting_at_data_mean(model, "generators_0")


def build(config: Config) -> Objective:
    """L_k, or the mean of k estimates of the ELBO by samples alone (1.28), as in the paper."""
    model = build_model(config)
    if config.objective == "vae":
        return gx.vae(model, num_samples=config.num_samples, form="monte_carlo")
    return gx.iwae(model, num_samples=config.num_samples, gradient=config.gradient, chunk=config.chunk)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, and the config with its shape and the steps of its epochs."""
    loaded = config.images.load(config.data, config.data_range)
    training = config.training
    if training.steps is None:
        epochs = sum(3**stage for stage in range(config.optimizer.stages))
        training = dataclasses.replace(training, steps=epochs * (len(loaded.train.x) // training.batch_size))
    return dataclasses.replace(config, shape=loaded.shape, training=training), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Binary pixels."""
    say_where_it_loses(config.precision)
    return gx.prepare(loaded, binarise=config.binarise)


def evaluate(config: Config):
    """L_k of each held-out example with the k of training, or the ELBO: what is raised."""
    model, k = build_model(config), config.num_samples if config.objective == "iwae" else 1

    def bound(players, key, batch):
        (variables,) = players.values()
        nll = gx.negative_log_likelihood(model, variables, key, batch.x, num_samples=k, batch_size=100)
        return {"bound": -nll["negative_log_likelihood"]}

    return bound


def judge(config: Config):
    """NLL(k) of each held-out example, with what tells how far to trust it."""
    model = build_model(config)

    def nll(players, key, batch):
        (variables,) = players.values()
        return gx.negative_log_likelihood(model, variables, key, batch.x, num_samples=config.judge_samples)

    return nll


def images(config: Config):
    """E[x | z] for z from the prior."""
    model = build_model(config)

    def draw(players, key, n):
        (variables,) = players.values()
        return model.sample(variables, key, n, mean=True)

    return draw


def look(config: Config, players: Players, data: Prepared):
    """Reconstructions and latent space; units in use by layer and what z says about x."""
    import jax

    from genjax_models.evaluation.estimates import estimate
    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import pictures

    model, (variables,), test, key = build_model(config), players.values(), data.test, jax.random.key(0)
    layers = jax.jit(lambda x: gx.latent_usage_by_layer(model, variables, key, x))(test.x)
    information = jax.jit(lambda x: gx.latent_information(model, variables, key, x))(test.x)
    shown, top = [], layers[-1]
    if pictures.drawable(config.shape):
        z = tuple(usage.means[:10] for usage in layers)
        back = model.generate(variables, z[0] if config.layers == 1 else z)
        shown.append(pictures.reconstructions(test.x[:10], back, "E[x | z] at the posterior mean of z", data.range))
    if top.means.shape[1] > 1:
        what = f"Posterior means of z_{len(layers)} of the test set in the two most active dimensions, by class."
        shown.append(pictures.latent_space(top.means, test.label, top.activity, what))
    facts = Facts(
        metric="bound",
        active=tuple(usage.active for usage in layers),
        bernoulli=True,
        values=data.validation.x,
        num_samples=config.judge_samples,
        mutual_information=estimate(information["mutual_information"]),
    )
    return facts, shown


EXPERIMENT = Experiment(
    name="iwae",
    title="An importance-weighted autoencoder",
    config=Config,
    metric="bound",
    higher_is_better=True,
    unit="nats",
    images_are="E[x | z], the mean of p(x | z), for z from the prior, not a draw of x",
    build=build,
    dataset=dataset,
    prepare=prepare,
    evaluate=evaluate,
    images=images,
    look=look,
    judge=judge,
    model=build_model,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
