"""Which models infer any subset of pixels from any other (20.10.3): five ways to fill in, and two classifiers.

python -m experiments.any_subset --rbm runs/rbm --multi-prediction runs/multi_prediction --vae runs/vae16

nats per missing pixel            passes     25%     50%     75%     90%     95%
RBM, Gibbs                           150   0.104   0.111   0.130   0.197   0.273
RBM, mean field                      100   0.107   0.119   0.158   0.331   0.401
MP-DBM, mean field                     5   0.107   0.114   0.129   0.166   0.201
VAE, pseudo-Gibbs                    150   0.110   0.119   0.148   0.236   0.318
VAE, importance                      100   0.117   0.158   0.255   0.408   0.517
mean pixel                             0   0.263   0.263   0.263   0.263   0.263

class accuracy, %                     0%     25%     50%     75%     90%     95%
MP-DBM                              95.3    94.3    93.7    91.2    76.8    58.4
MLP, trained with missing pixels    96.9    96.3    93.3    87.3    71.3    57.3
MLP, trained without                94.7    90.8    83.7    64.7    40.8    24.8

On all 1,000 test images of mnist10k, binarised, with pixels missing at random. The runs are the records of the
systems (seed 0). Budgets differ: 12,000 steps of the RBM, 10,000 of the VAE, 6,000 of the MP-DBM, which takes longest.
Up to half of the pixels missing, Gibbs sweeps of the RBM fill in best (paired: 0.0024 +- 0.0004 ahead at 50%). At three
quarters the two are level. At 90% the MP-DBM is 0.0309 +- 0.0020 ahead, with 5 passes in place of 150. Its classes are
ahead of the mask-trained MLP's at 75% and 90%, level at 50% and 95%, and behind with all pixels. The VAE by importance
sampling breaks down from half on, by pseudo-Gibbs sweeps it does not. At 95% only the MP-DBM beats the mean pixel.
4 minutes on one busy core, AMD EPYC (jax 0.10.2, CPU), 2026-11-29.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from genjax_models.errors import InputError
from genjax_models.figures.palette import BLUE, GREEN, GREY, ORANGE, PINK, SKY
from genjax_models.runs.command_line import run_study
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from genjax_models.models.conditionals import Conditional
    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array, Batch, Variables

_COLOURS = (BLUE, SKY, ORANGE, GREEN, PINK, GREY)


@dataclasses.dataclass(frozen=True)
class AnySubset:
    """Compare what finished runs fill in, over the share of pixels that are missing."""

    rbm: Path = Path("runs/rbm")
    """A run of experiments.rbm."""
    multi_prediction: Path = Path("runs/multi_prediction")
    """A run of experiments.multi_prediction on the same data, with classes."""
    vae: Path = Path("runs/vae")
    """A run of experiments.vae on the same data."""
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9, 0.95)
    """Shares of missing pixels, each pixel at random."""
    sweeps: int = 100
    """Sweeps that Gibbs and pseudo-Gibbs average, after half as many; also the draws of importance sampling."""
    hidden: tuple[int, ...] = (500, 1000)
    """Widths of the two classifiers that are trained here: one with missing pixels, one without."""
    steps: int = 6_000
    """Steps of each classifier."""
    batch_size: int = 100
    """Examples per step."""
    learning_rate: float = 1e-3
    """Learning rate of the classifiers at the start. It falls to 0."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    to: Path = Path("runs/any_subset.png")
    """PNG file of the picture."""

    def __post_init__(self):
        check_output(self.to, ".png")
        whole(1, sweeps=self.sweeps, hidden=self.hidden, steps=self.steps, batch_size=self.batch_size)
        positive(learning_rate=self.learning_rate)
        if not self.shares or any(not 0 < share <= 1 for share in self.shares):
            raise InputError(f"shares must be in (0, 1], got {self.shares}")
        seed_in_range(self.seed)


class Way(NamedTuple):
    """A way to fill in: passes through the network for one answer, and nats per missing pixel at each share."""

    passes: int
    nats: list[float]


class Page(NamedTuple):
    """All results: ways by name, and the accuracy of classifiers by name, at no missing pixels and at each share."""

    ways: dict[str, Way]
    accuracy: dict[str, list[float]]


def measure(options: AnySubset) -> Page:
    """Returns the results on all test images. All ways see the same masks."""
    import jax
    import jax.numpy as jnp

    from genjax_models.evaluation.missing import class_probabilities, masks, predict_missing

    rbm, deep, vae = _runs(options)
    data, key = deep.data, jax.random.key(options.seed)
    test, train = data.test, data.training_examples(slice(None))
    ways = _ways(options, [rbm, deep, vae], train)
    observed = [masks(key, test.x, "random", share=share) for share in options.shares]
    results = {}
    for name, (passes, conditional, variables) in ways.items():

        @jax.jit
        def nats(variables, seen, conditional=conditional):
            missing = predict_missing(conditional, variables, key, test.x, seen)
            return jnp.sum(missing["nats"]) / jnp.sum(missing["missing"])

        results[name] = Way(passes, [float(nats(variables, seen)) for seen in observed])
    observed.insert(0, jnp.ones_like(observed[0]))
    classes = {
        "MP-DBM": lambda x, seen: class_probabilities(
            deep.model, deep.variables, x, seen, sweeps=deep.config.sweeps, batch_size=len(x)
        ),
        "MLP, trained with missing pixels": _classifier(options, train, missing=True),
        "MLP, trained without": _classifier(options, train, missing=False),
    }
    accuracy = {}
    for name, probabilities in classes.items():
        right = jax.jit(lambda x, seen, of=probabilities: jnp.mean(jnp.argmax(of(x, seen), axis=1) == test.label))
        accuracy[name] = [float(right(test.x, seen)) for seen in observed]
    return Page(results, accuracy)


def _ways(options: AnySubset, runs: Sequence[LoadedRun], train: Batch) -> dict[str, tuple[int, Conditional, Variables]]:
    """Returns each way to fill in: its passes through the network, the conditional and its variables."""
    import jax.numpy as jnp

    from genjax_models.models import conditionals

    rbm, deep, vae = runs
    sweeps, burn_in = options.sweeps, options.sweeps // 2
    averaged = {"sweeps": sweeps, "burn_in": burn_in}
    return {
        "RBM, Gibbs": (sweeps + burn_in, conditionals.clamped_gibbs(rbm.model, **averaged), rbm.variables),
        "RBM, mean field": (sweeps, conditionals.mean_field(rbm.model, sweeps=sweeps), rbm.variables),
        "MP-DBM, mean field": (
            deep.config.sweeps,
            conditionals.mean_field(deep.model, sweeps=deep.config.sweeps),
            deep.variables,
        ),
        "VAE, pseudo-Gibbs": (sweeps + burn_in, conditionals.pseudo_gibbs(vae.model, **averaged), vae.variables),
        "VAE, importance": (sweeps, conditionals.importance_sampling(vae.model, num_samples=sweeps), vae.variables),
        "mean pixel": (0, conditionals.mean_pixel(jnp.mean(train.x, axis=0)), {}),
    }


def _runs(options: AnySubset) -> list[LoadedRun]:
    """Returns the three runs, whose data are loaded once.

    Raises:
      InputError: a run is of another experiment, or of other data.
    """
    from genjax_models.models import LatentVariableModel
    from genjax_models.models.boltzmann import BoltzmannMachine
    from genjax_models.runs.loading import load_run

    paths = options.rbm, options.multi_prediction, options.vae
    runs = [load_run(path, data=path is options.multi_prediction) for path in paths]
    rbm, deep, vae = runs
    if not isinstance(rbm.model, BoltzmannMachine) or len(rbm.model.hidden) > 1:
        raise InputError(f"{options.rbm}: must be a run of experiments.rbm")
    if not isinstance(deep.model, BoltzmannMachine) or deep.model.classes is None:
        raise InputError(f"{options.multi_prediction}: must be a run of experiments.multi_prediction with classes")
    if not isinstance(vae.model, LatentVariableModel) or vae.config.data.classes:
        raise InputError(f"{options.vae}: must be a run of experiments.vae without classes")
    for path, run in zip(paths, runs, strict=True):
        if run.config.data.name != deep.config.data.name:
            raise InputError(f"{path}: must be of the data {deep.config.data.name}, got {run.config.data.name}")
    return runs


def _classifier(options: AnySubset, train: Batch, *, missing: bool) -> Callable[[Array, Array], Array]:
    """Trains an MLP on observed pixels and their mask, and returns (x, observed) -> logits."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp
    import optax

    import genjax_models as gx
    from genjax_models.networks.mlp import MLP
    from genjax_models.objectives.classifier import classifier

    layers = MLP(options.hidden), nn.Dense(int(jnp.max(train.label)) + 1)
    network, objective = nn.Sequential(layers), classifier(nn.Sequential(layers))
    seen_by = lambda x, seen: jnp.concatenate([jnp.where(seen, x, 0), seen], axis=-1).reshape(len(x), -1)

    def hidden(key: Array, batch: Batch) -> Batch:
        share_key, pixel_key = jax.random.split(key)
        share = jax.random.uniform(share_key, (len(batch.x), *[1] * (batch.x.ndim - 1))) if missing else 0.0
        return batch._replace(x=seen_by(batch.x, jax.random.uniform(pixel_key, batch.x.shape) >= share))

    loss = lambda variables, key, batch, step: objective.losses["classifier"](variables, key, hidden(key, batch), step)
    masked = objective._replace(
        init=lambda key, batch: objective.init(key, hidden(key, batch)), losses={"classifier": loss}
    )
    trainer = gx.trainer(masked, optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps)))
    loop = gx.loop_over_data(trainer, batch_size=options.batch_size, chunk=options.steps)
    state, _ = loop(jax.jit(trainer.init)(jax.random.key(options.seed), train), train)
    return lambda x, seen: network.apply(state.variables["classifier"], seen_by(x, seen))


def table(options: AnySubset, page: Page) -> str:
    """Returns the results as lines of text."""
    shares = [f"{share:.0%}" for share in options.shares]
    head = f"{'nats per missing pixel':34}{'passes':>8}" + "".join(f"{share:>8}" for share in shares)
    rows = [f"{n:34}{way.passes:8d}" + "".join(f"{nats:8.3f}" for nats in way.nats) for n, way in page.ways.items()]
    of_classes = f"{'class accuracy, %':34}{'0%':>8}" + "".join(f"{share:>8}" for share in shares)
    more = [f"{name:34}" + "".join(f"{100 * value:8.1f}" for value in row) for name, row in page.accuracy.items()]
    return "\n".join([head, *rows, "", of_classes, *more])


def picture(options: AnySubset, page: Page) -> Figure:
    """Draws nats per missing pixel, and class accuracy, over the share of missing pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    style = {"marker": "o", "markersize": 3, "linewidth": 1.2}
    for (name, way), colour in zip(page.ways.items(), _COLOURS, strict=True):
        left.plot(options.shares, way.nats, label=f"{name} ({way.passes} passes)", color=colour, **style)
    for (name, accuracy), colour in zip(page.accuracy.items(), (_COLOURS[2], _COLOURS[0], _COLOURS[5]), strict=True):
        right.plot((0, *options.shares), accuracy, label=name, color=colour, **style)
    left.set_ylabel("nats per missing pixel")
    right.set_ylabel("class accuracy")
    for axes in (left, right):
        axes.set_xlabel("share of pixels missing")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8, frameon=False)
    return figure


def report(options: AnySubset) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    page = measure(options)
    return picture(options, page), table(options, page)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.any_subset", AnySubset, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
