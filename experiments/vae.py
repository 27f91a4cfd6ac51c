"""A variational autoencoder on images (20.10.3): Kingma and Welling, 2014; Rezende, Mohamed and Wierstra, 2014.

python -m experiments.vae

held-out bound: -141.02 +- 1.75 nats per image   (1,000 test images of mnist10k, binarised once; seed 0)
10,000 steps of 100 in 31 s (compiled in 3.4 s), 2 cores of AMD EPYC (jax 0.10.2, CPU), 2026-11-22

python -m experiments.vae --latent 16                          -101.08 +- 0.99, 14 of 16 dimensions used
python -m experiments.vae --latent 16 --data fashion_mnist     -236.19 +- 0.77, 9 of 16
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
from genjax_models.runs.configuration import Images, Optimizer, Training, at_least, positive, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Dataset, Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.types import Objective, Players


@dataclasses.dataclass(frozen=True)
class Config:
    """Train a variational autoencoder and report what it learned."""

    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    binarise: Literal["auto", "dynamic", "fixed", "threshold", "none"] = "auto"
    """How pixels become binary; auto is dynamic for the Bernoulli likelihood and none for the others."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 2
    """Dimensions of z."""
    conditional: bool = False
    """Whether encoder and generator are given the class of each example: p(x | z, label)."""
    posterior: Literal["diagonal", "full_covariance", "flow"] = "diagonal"
    """Family of q(z | x): two kinds of Gaussian, or one bent by couplings, which wants form monte_carlo."""
    likelihood: Literal["bernoulli", "gaussian", "discretised_logistic"] = "bernoulli"
    """Family of p(x | z)."""
    scale: Literal["global", "isotropic", "diagonal"] | float = "global"
    """Standard deviation of the Gaussian likelihood: a number, one learned, one for each z, or one for each pixel."""
    network: Literal["mlp", "convolutional"] = "mlp"
    """Kind of encoder and generator."""
    hidden: tuple[int, ...] = (500, 500)
    """Widths of the fully connected layers of the encoder; the generator's are reversed."""
    channels: tuple[int, ...] = (32, 64)
    """Of the convolutional encoder's levels; the generator's are reversed."""
    precision: Precision = "float32"
    """What the networks are computed in; parameters, and all beyond the networks, are float32. For accelerators."""
    form: Literal["kl", "entropy", "monte_carlo"] = "kl"
    """Expression of the bound: (20.77), (20.76) or (1.28)."""
    num_samples: int = 1
    """Samples of q for each example in training."""
    kl_weight: float = 1.0
    """Weight of the KL in the loss; the bound that is reported has weight 1 whatever this is."""
    kl_warmup: int = 0
    """Steps over which the KL weight rises linearly from 0."""
    free_bits: float = 0.0
    """Nats of each latent dimension that the loss does not charge."""
    images: Images = Images()
    training: Training = Training()
    optimizer: Optimizer = Optimizer(learning_rate=2e-3, schedule="cosine", warmup=200)
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)
    classes: tyro.conf.Suppress[int | None] = None

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, num_samples=self.num_samples, hidden=self.hidden, channels=self.channels)
        whole(0, kl_warmup=self.kl_warmup)
        at_least(0, kl_weight=self.kl_weight, free_bits=self.free_bits)
        if self.free_bits and (self.form != "kl" or self.posterior != "diagonal"):
            raise InputError(
                f"free_bits want form kl and posterior diagonal, got form {self.form} and posterior {self.posterior}"
            )
        if self.posterior == "flow" and (self.form != "monte_carlo" or self.latent < 2):
            raise InputError(
                "posterior flow wants form monte_carlo and at least 2 latent dimensions,"
                f" got form {self.form} and {self.latent}"
            )
        if not isinstance(self.scale, str):
            positive(scale=self.scale)


def build_model(config: Config) -> LatentVariableModel:
    """The networks and families that the config names."""
    posterior = {
        "diagonal": gx.diagonal_gaussian,
        "full_covariance": gx.full_covariance_gaussian,
        "flow": gx.coupling_flow,
    }[config.posterior](config.latent)
    likelihood = {
        "bernoulli": gx.bernoulli,
        "gaussian": lambda shape: gx.gaussian(shape, config.scale),
        "discretised_logistic": gx.discretised_logistic,
    }[config.likelihood](config.shape)
    encoder, generator = at(config.precision, *networks(config, posterior.outputs, likelihood.outputs))
    return gx.latent_variable_model(encoder, posterior, generator, likelihood, classes=config.classes)


def networks(config, encoder_emits, generator_emits):
    """An encoder and its mirror image, of the kind that the config names."""
    hidden, back = config.hidden, config.hidden[::-1]
    if config.network == "mlp":
        return gx.MLPEncoder(config.shape, encoder_emits, hidden), gx.MLPGenerator(generator_emits, back)
    return (
        gx.ConvolutionalEncoder(config.shape, encoder_emits, config.channels, hidden),
        gx.ConvolutionalGenerator(generator_emits, config.channels[::-1], back),
    )


def build(config: Config) -> Objective:
    """The objective that the config names."""

    def kl_weight(step):
        return config.kl_weight * step.clip(0, config.kl_warmup) / config.kl_warmup

    weight = kl_weight if config.kl_warmup else config.kl_weight
    options = {"num_samples": config.num_samples, "form": config.form, "free_bits": config.free_bits}
    return gx.vae(build_model(config), kl_weight=weight, **options)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, which the likelihood must be able to take, and the config with its shape."""
    loaded = config.images.load(config.data, config.data_range)
    eight_bits = str(loaded.train.x.dtype) == "uint8" and loaded.range == (0, 255) and binarisation(config) == "none"
    if config.likelihood == "discretised_logistic" and not eight_bits:
        raise InputError(
            "likelihood discretised_logistic is for 8-bit data with binarise none, got"
            f" {loaded.train.x.dtype} in {loaded.range} with binarise {binarisation(config)} from {config.data}"
        )
    if config.conditional and loaded.num_classes is None:
        raise InputError(f"a conditional model wants the class of each example, and {config.data} has no labels")
    config = dataclasses.replace(config, classes=loaded.num_classes if config.conditional else None)
    return with_shape(config, loaded), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Pixels in [0, 1], binary where the likelihood is Bernoulli or the config says so."""
    say_where_it_loses(config.precision)
    return gx.prepare(loaded, binarise=binarisation(config))


def binarisation(config: Config) -> str:
    """What "auto" means."""
    if config.binarise != "auto":
        return config.binarise
    return "dynamic" if config.likelihood == "bernoulli" else "none"


def with_shape(config, loaded: Dataset):
    """The config with the data's shape, which its networks must be able to take."""
    if config.network == "convolutional" and len(loaded.shape) != 3:
        raise InputError(
            f"network convolutional is for images, got examples of shape {loaded.shape} from {config.data}"
        )
    if config.network == "convolutional" and not config.channels:
        raise InputError("channels must name at least one level for network convolutional, got none")
    return dataclasses.replace(config, shape=loaded.shape)


def evaluate(config: Config):
    """Bound, reconstruction and KL of each held-out example."""
    model = build_model(config)
    form = "monte_carlo" if config.posterior == "flow" else "kl"
    return lambda players, key, batch: gx.held_out_bound(
        model, players["vae"], key, batch.x, label=batch.label, form=form
    )


def images(config: Config):
    """E[x | z] for z from the prior; the classes of a conditional model in turn, unless one is asked for."""
    import jax.numpy as jnp

    model = build_model(config)

    def draw(players, key, n, label=None):
        if label is None and config.conditional:
            label = jnp.arange(n) % config.classes
        return model.sample(players["vae"], key, n, label=label, mean=True)

    return draw


def look(config: Config, players: Players, data: Prepared):
    """Reconstructions, the manifold, latent space and KL by dimension; and what the findings need to know."""
    import jax

    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import pictures

    model, variables, test = build_model(config), players["vae"], data.test
    key, label = jax.random.key(0), test.label if config.conditional else None
    look_at = jax.jit(lambda variables, x, label: gx.latent_usage_by_layer(model, variables, key, x, label=label))
    (usage,) = look_at(variables, test.x, label)
    shown = []
    if pictures.drawable(config.shape):
        back = model.generate(variables, usage.means[:10], None if label is None else label[:10])
        shown.append(pictures.reconstructions(test.x[:10], back, "E[x | z] at the posterior mean of z", data.range))
        if config.latent == 2 and not config.conditional:
            shown.append(pictures.manifold(jax.jit(lambda z: model.generate(variables, z)), data.range))
    if config.latent > 1:
        what = "Posterior means of the test set in the two most active dimensions, coloured by class where it is known."
        shown.append(pictures.latent_space(usage.means, test.label, usage.activity, what))
    if usage.kl_by_dimension is not None:
        shown.append(pictures.kl_by_dimension(usage))
    facts = Facts(
        metric="bound",
        active=usage.active,
        bernoulli=config.likelihood == "bernoulli",
        density=config.likelihood == "gaussian",
        values=data.validation.x,
    )
    return facts, shown


EXPERIMENT = Experiment(
    name="vae",
    title="A variational autoencoder",
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
    model=build_model,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
