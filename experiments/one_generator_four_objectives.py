"""One generator network learned in four ways: by the ELBO, the IWAE bound, an adversary and an MMD, on one budget.

python -m experiments.one_generator_four_objectives --objective vae     and iwae, gan, gmmn

All have the same x = g(z), z ~ N(0, I), the same data, batches and number of steps. What is judged is g(z): of the
first two models that is E[x | z], without the noise of p(x | z) = N(g(z), sigma^2 I). What learns with the generator is
an encoder that is its mirror image, or a discriminator of the same widths; for the MMD it is nothing.

             kernel distance   Frechet distance   precision     coverage      NLL(1000), nats
ELBO          8.8 +- 0.6       100 +- 5           0.91 +- 0.02  0.51 +- 0.03  -368.2 +- 3.1
IWAE, k = 5   7.9 +- 0.6        84 +- 4           0.92 +- 0.03  0.58 +- 0.04  -372.6 +- 3.1
adversary     4.8 +- 0.5        53 +- 3           0.88 +- 0.03  0.66 +- 0.03  none
MMD           7.2 +- 0.5        85 +- 4           0.81 +- 0.04  0.42 +- 0.03  none
data         -0.1 +- 0.1       2.4 +- 0.8         0.95 +- 0.01  0.99 +- 0.01

1,000 samples (data: training images) beside the 1,000 test images of mnist10k, on the features of mnist_classifier;
seed 0, one run each. A two-sample test tells all four from data (p < 1e-70). The adversary is penalised by R1, of
weight 1: without a penalty (and with dropout, at 3e-4) it drew hardly anything but ones. Likelihoods are densities, at
sigma = 0.2.
33 to 137 s each on one core of an AMD EPYC (jax 0.10.2, CPU), 2026-11-22: no comparison of times.
pictures/one_generator_four_objectives.png and the table are made of four runs by

from experiments import one_generator_four_objectives as four
runs = ["runs/vae", "runs/iwae", "runs/gan", "runs/gmmn"]
print(four.table(*runs))
four.side_by_side(*runs).savefig("four.png")
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

import genjax_models as gx
from experiments.judging import METRIC, features_of, followed, neighbours
from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, positive, seed_in_range, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from genjax_models.data import Dataset, Prepared
    from genjax_models.models import LatentVariableModel
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.types import Objective, Players, Trainer

_VARIANCES = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # of the kernels of Li et al., 2015
_WORDS = {"vae": "ELBO", "iwae": "IWAE bound", "gan": "adversary", "gmmn": "MMD"}
_NLL_SAMPLES = 1_000
_SHOWN = 8  # samples of each in the picture


@dataclasses.dataclass(frozen=True)
class Config:
    """Train one generator network by one of four objectives."""

    objective: Literal["vae", "iwae", "gan", "gmmn"] = "vae"
    """By which the generator learns."""
    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 10
    """Dimensions of z."""
    hidden: tuple[int, ...] = (256, 512)
    """Widths of the generator's layers; those of encoder and discriminator are reversed."""
    sigma: float = 0.2
    """Scale of p(x | z), of vae and iwae."""
    num_samples: int = 5
    """k, of iwae."""
    average: float = 0.99
    """Decay of the moving average of the generator's variables, from which samples are drawn."""
    images: Images = Images()
    training: Training = Training(steps=5_000, batch_size=200, evaluate_every=1_000)
    optimizer: Optimizer = Optimizer(schedule="cosine")
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden, num_samples=self.num_samples)
        positive(sigma=self.sigma)
        if not 0 < self.average < 1:
            raise InputError(f"average must be in (0, 1), got {self.average!r}")


def generator(config: Config):
    """The network z -> x in [0, 1] that all four learn."""
    from flax.linen import Sequential, sigmoid

    return Sequential([gx.MLPGenerator(config.shape, config.hidden), sigmoid])


def build_model(config: Config) -> LatentVariableModel | ImplicitModel:
    """Of gan and gmmn the generator alone, of the others the model that it is the mean of."""
    if config.objective in ("gan", "gmmn"):
        return gx.implicit_model(generator(config), config.latent)
    from flax.linen import Sequential

    posterior, likelihood = gx.diagonal_gaussian(config.latent), gx.gaussian(config.shape, config.sigma)
    encoder = gx.MLPEncoder(config.shape, posterior.outputs, config.hidden[::-1])
    mean = Sequential([*generator(config).layers, lambda x: {"mean": x}])
    return gx.latent_variable_model(encoder, posterior, mean, likelihood)


def build(config: Config) -> Objective:
    """The objective that the config names."""
    match config.objective:
        case "vae":
            return gx.vae(build_model(config))
        case "iwae":
            return gx.iwae(build_model(config), num_samples=config.num_samples)
        case "gan":
            discriminator = gx.MLPDiscriminator(config.shape, config.hidden[::-1])
            pair = gx.adversarial_pair(generator(config), discriminator, config.latent)
            return gx.gan(pair, penalty="r1", penalty_weight=1.0)
        case "gmmn":
            kernel = gx.gaussian_kernel([variance**0.5 for variance in _VARIANCES])
            return gx.gmmn(build_model(config), kernel)


def trainer(config: Config, objective: Objective) -> Trainer:
    """Each player by the config's optimizer (of an adversary with b1 = 0.5), and a moving average of the generator."""
    game = config.objective == "gan"
    optimizer = dataclasses.replace(config.optimizer, b1=0.5, learning_rate=5e-4) if game else config.optimizer
    made = optimizer.build(config.training.steps)
    average = {player: config.average for player in objective.losses if player != "discriminator"}
    return gx.trainer(objective, dict.fromkeys(objective.losses, made), average=average)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the players of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, and the config with its shape."""
    loaded = config.images.load(config.data, config.data_range)
    return dataclasses.replace(config, shape=loaded.shape), loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """Grey values in [0, 1]."""
    return gx.prepare(loaded, binarise="none")


def images(config: Config):
    """g(z) for z ~ N(0, I)."""
    import jax

    model = build_model(config)

    def draw(players, key, n):
        if config.objective in ("gan", "gmmn"):
            return model.sample(players["generator"], key, n)
        return model.sample(players[config.objective], jax.random.fold_in(key, 0), n, mean=True)

    return draw


def evaluate(config: Config):
    """How far held-out images and as many g(z) are apart; of vae and iwae also the bound that they learned by."""
    draw = images(config)

    def values(players, key, batch):
        found = followed(draw(players, key, len(batch.x)), batch.x, config.data, (0, 1))
        if config.objective in ("vae", "iwae"):
            samples = config.num_samples if config.objective == "iwae" else 1
            model, variables = build_model(config), players[config.objective]
            nll = gx.negative_log_likelihood(model, variables, key, batch.x, num_samples=samples)
            found["bound"] = -nll["negative_log_likelihood"]
        return found

    return values


def judge(config: Config):
    """NLL(1000) where there is a likelihood."""
    if config.objective in ("gan", "gmmn"):
        return lambda players, key, batch: {}
    model = build_model(config)
    return lambda players, key, batch: gx.negative_log_likelihood(
        model, players[config.objective], key, batch.x, num_samples=_NLL_SAMPLES
    )


def look(config: Config, players: Players, data: Prepared):
    """The nearest training examples of g(z), with all that is known of many; and what the findings need to know."""
    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import pictures

    facts = Facts(metric=METRIC, higher_is_better=False, unit="", num_samples=_NLL_SAMPLES)
    shown = []
    if pictures.drawable(config.shape):
        shown.append(neighbours(_drawer(config, players), data, features_of(config.data, (0, 1))))
    return facts, shown


def _drawer(config: Config, players: Players):
    import jax

    draw = images(config)
    return lambda n: jax.jit(lambda key: draw(players, key, n))(jax.random.key(0))


def side_by_side(*runs: Path | str) -> Figure:
    """Samples of finished runs, a row for each, under test images."""
    import jax.numpy as jnp

    from genjax_models.runs import directory, figures

    rows, titles = [], ["data"]
    for run in runs:
        config = directory.read_config(run, Config, EXPERIMENT.name)
        rows.append(_drawer(config, load(run)[1])(2 * _SHOWN))
        titles.append(_WORDS[config.objective])
    data = prepare(*dataset(config))
    return figures.image_grid(jnp.concatenate([data.test.x[: 2 * _SHOWN], *rows]), columns=2 * _SHOWN, titles=titles)


def table(*runs: Path | str) -> str:
    """What finished runs came to, in Markdown, beside what training images in place of samples would get."""
    from genjax_models.evaluation.samples import sample_quality
    from genjax_models.runs import directory

    named = {run: directory.read_config(run, Config, EXPERIMENT.name) for run in runs}
    config = next(iter(named.values()))
    data, features = prepare(*dataset(config)), features_of(config.data, (0, 1))
    test, figures = data.test.x, ("kernel_distance", "frechet_distance", "precision", "coverage", "two_sample_p_value")
    words = [name.replace("_", " ") for name in figures]
    lines = [f"| | {' | '.join(words)} | NLL(1000), nats | seconds |", "| --- " * (len(words) + 3) + "|"]

    def row(title, samples, nll="", seconds=""):
        found = sample_quality(features, samples, test)
        cells = [found[f"{name}_on_{features.name}"] for name in figures]
        shown = [f"{c.value:.3g} ± {c.standard_error:.1g}" if c.standard_error > 0 else f"{c.value:.2g}" for c in cells]
        lines.append(f"| {' | '.join([title, *shown, nll, seconds])} |")

    for run, config in named.items():
        result = json.loads((Path(run) / "result.json").read_text())
        of_test, nll = result["test"], ""
        if "negative_log_likelihood" in of_test:
            nll = f"{of_test['negative_log_likelihood']:.1f} ± {of_test['negative_log_likelihood_se']:.1f}"
        row(
            _WORDS[config.objective],
            _drawer(config, load(run)[1])(len(test)),
            nll,
            f"{result['seconds']['running']:.0f}",
        )
    row("training images", data.seen(slice(len(test))).x)
    return "\n".join(lines)


EXPERIMENT = Experiment(
    name="one_generator_four_objectives",
    title="One generator, four objectives",
    config=Config,
    metric=METRIC,
    higher_is_better=False,
    unit="",
    images_are="g(z) for z ~ N(0, I)",
    build=build,
    dataset=dataset,
    prepare=prepare,
    evaluate=evaluate,
    images=images,
    look=look,
    model=build_model,
    trainer=trainer,
    judge=judge,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
