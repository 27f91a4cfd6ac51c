"""A GMMN on the codes of an autoencoder, on images (20.10.5): Li, Swersky and Zemel, 2015.

python -m experiments.gmmn_autoencoder

Parzen window on 10,000 samples: 210.8 +- 5.7 nats (a GMMN on pixels: 98.9 +- 5.5; Li et al.: 282 +- 2 and 147 +- 2, of
55,000 training images); reconstructed training images would have 313, training images themselves 247
kernel distance: 7.0 +- 0.5 on mnist_classifier (on pixels: 5.4 +- 0.5), 2.8 of it that of reconstructions
held-out squared MMD of pixels: 0.097 +- 0.006   (on pixels, whose loss it is: 0.0063 +- 0.0009)
held-out squared error of reconstructions: 12.29 +- 0.19 per image   (experiments.autoencoder: 11.39 +- 0.19)
two-sample p-value: 0.001, the smallest of 999 permutations   (mnist10k, 8,000 training images, grey, seed 0)
1,000 + 3,000 steps of 1,000 examples in 28 min beside other work on 2 cores of AMD EPYC (jax 0.10.2, CPU), 2026-11-21

--data fashion_mnist, 55,000 training images, 10,000 samples beside the 10,000 test images: Parzen window 369.0 +- 1.7
nats (on pixels 269.0 +- 2.2), kernel distance 0.86 +- 0.03 on fashion_classifier (0.64 +- 0.03), precision 0.90 (0.82),
recall 0.13 (0.49), squared MMD of pixels 0.042 +- 0.001, two-sample p-value 0.001; 290 s of training.
pictures/gmmn_fashion.png has both side by side: clothes in place of clouds of dots, and fewer kinds of them.

Sizes, dropout, uniform noise, sigmoid codes and the kernel of codes are those of Li et al. for MNIST. They pre-train
the autoencoder layer by layer by SGD, and fine-tune it by cross-entropy; here Adam trains both layers at once, by
squared error, between hidden layers of ReLU. Strokes are smooth where those of the GMMN on pixels are ragged, which a
Parzen window rewards. They are also paler, as are reconstructions: half of the hidden units were left out while it
learned. Samples between two digits are codes between the data's: the nearest training code of a sample is at 0.78
(median), that of another training code at 0.54, and at a bandwidth of 1 the kernel hardly sees the difference.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Literal

import tyro

import genjax_models as gx
from experiments import gmmn
from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Images, Optimizer, Training, seed_in_range, whole

if TYPE_CHECKING:
    from genjax_models.data import Prepared
    from genjax_models.models import AutoencoderModel
    from genjax_models.models.implicit import ImplicitModel
    from genjax_models.types import Objective, Players, Trainer


@dataclasses.dataclass(frozen=True)
class Config:
    """Train an autoencoder, then a generator of its codes by the maximum mean discrepancy."""

    data: str = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 255 for uint8 and 0 1 for floating point."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    autoencoder_steps: int = 1_000
    """Of the steps, how many are the autoencoder's; the others are the generator's."""
    code: int = 32
    """Dimensions of the autoencoder's code, which lies in (0, 1)."""
    autoencoder_hidden: tuple[int, ...] = (1024,)
    """Widths of the encoder's layers; the decoder's are reversed."""
    dropout: float = 0.5
    """Share of the encoder's hidden units that is left out while the autoencoder learns."""
    input_dropout: float = 0.2
    """The same of the pixels."""
    latent: int = 10
    """Dimensions of z, uniform in [-1, 1]."""
    hidden: tuple[int, ...] = (64, 256, 256, 1024)
    """Widths of the generator's layers."""
    code_variances: tuple[float, ...] = (1.0,)
    """The kernel of codes is the sum of exp(-d^2 / (2 variance)); of Li et al., who call it sigma."""
    kernel_variances: tuple[float, ...] = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
    """The same of pixels, by which runs are judged."""
    distance: Literal["biased_root", "unbiased_squared"] = "biased_root"
    """What the generator lowers: the root of the biased MMD^2 of codes, or the unbiased MMD^2."""
    images: Images = Images()
    training: Training = Training(steps=4_000, batch_size=1_000, evaluate_every=500)
    optimizer: Optimizer = Optimizer(schedule="cosine")
    """Of both players; the schedule of each is over its own steps."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden, code=self.code, autoencoder_hidden=self.autoencoder_hidden)
        whole(1, autoencoder_steps=self.autoencoder_steps)
        gmmn.variances_in_range(self.kernel_variances)
        gmmn.variances_in_range(self.code_variances)
        for name, share in (("dropout", self.dropout), ("input_dropout", self.input_dropout)):
            if not 0 <= share < 1:
                raise InputError(f"{name} must be in [0, 1), got {share!r}")
        if 0 < self.training.steps <= self.autoencoder_steps:
            raise InputError(
                f"steps must be more than the autoencoder's {self.autoencoder_steps}, so that the generator has some,"
                f" got {self.training.steps}"
            )


def build_models(config: Config) -> tuple[AutoencoderModel, ImplicitModel]:
    """The autoencoder, and the generator of its codes."""
    from flax.linen import Sequential, sigmoid

    from genjax_models.models.implicit import implicit_model

    code, hidden = (config.code,), config.autoencoder_hidden
    shares = {"dropout": config.dropout, "input_dropout": config.input_dropout}
    encoder = Sequential([gx.MLPEncoder(config.shape, code, hidden, **shares), sigmoid])
    decoder = Sequential([gx.MLPGenerator(config.shape, hidden[::-1]), sigmoid])
    generator = Sequential([gx.MLPGenerator(code, config.hidden), sigmoid])
    autoencoder = gx.autoencoder_model(encoder, decoder, config.code)
    return autoencoder, implicit_model(generator, config.latent, noise="uniform")


def build(config: Config) -> Objective:
    """The objective that the config names."""
    from genjax_models.objectives.gmmn_autoencoder import gmmn_autoencoder

    kernel, steps = gmmn.kernel_of(config.code_variances), config.autoencoder_steps
    return gmmn_autoencoder(*build_models(config), kernel, autoencoder_steps=steps, distance=config.distance)


def trainer(config: Config, objective: Objective) -> Trainer:
    """A trainer of both stages, each with the optimizer of the config."""
    from genjax_models.objectives.gmmn_autoencoder import in_two_stages

    first = config.autoencoder_steps
    second = max(0, config.training.steps - first)
    optimizers = (config.optimizer.build(steps) for steps in (first, second))
    return gx.trainer(objective, in_two_stages(*optimizers, autoencoder_steps=first))


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def evaluate(config: Config):
    """As of a GMMN on pixels, and the squared error of each held-out example's reconstruction."""
    of_samples = gmmn.distances(config, build(config))
    autoencoder, _ = build_models(config)

    def values(players, key, batch):
        error = gx.held_out_error(autoencoder, players["autoencoder"], key, batch.x)
        return of_samples(players, key, batch) | error

    return values


def images(config: Config):
    """Decoded codes of the generator."""
    objective = build(config)
    return lambda players, key, n: objective.sample(players, key, n)


def look(config: Config, players: Players, data: Prepared):
    """Reconstructions, and samples as of a GMMN on pixels; and what the findings need to know."""
    import jax

    from genjax_models.runs import pictures

    shown = gmmn.neighbours(config, build(config), players, data)
    if pictures.drawable(config.shape):
        (autoencoder, _), variables, x = build_models(config), players["autoencoder"], data.test.x[:10]
        back = jax.jit(lambda x: autoencoder.generate(variables, autoencoder.encode(variables, x)))(x)
        shown.append(pictures.reconstructions(x, back, "g(f(x)), their codes decoded", data.range))
    return gmmn.facts(), shown


EXPERIMENT = Experiment(
    name="gmmn_autoencoder",
    title="A generative moment matching network on codes",
    config=Config,
    metric=gmmn.METRIC,
    higher_is_better=False,
    unit="",
    images_are="draws of x: decoded codes of the generator",
    build=build,
    dataset=gmmn.dataset,
    prepare=gmmn.prepare,
    evaluate=evaluate,
    images=images,
    look=look,
    trainer=trainer,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
