"""An infinite mixture of Gaussians on points in the plane (1.3.3), learned in two ways, and a finite one beside it.

python -m experiments.infinite_mixture                        -1.679 +- 0.019    10,000 steps in 7.0 s
python -m experiments.infinite_mixture --fit vae --steps 60000
                                                              -1.769 +- 0.016    60,000 steps in 14 s
python -m experiments.infinite_mixture --fit finite_mixture   -1.940 +- 0.020    10,000 steps in 1.3 s

Held-out log-likelihood, exact, nats per point (2,000 test points of "spiral", steps of 200, one seed, 0). The
distribution that the points were drawn from has -1.671. 2 cores of AMD EPYC, evaluations included in the times (jax
0.10.2, CPU), 2026-11-22

The first two are one model, with one latent dimension. The VAE needs more steps, of less work each: for its first 5,000
it stays near -2.9. The bound that it is learned by ends at -1.93 +- 0.06, 0.2 nats below its own likelihood. Eight
Gaussians are straight where the spiral is not. pictures/infinite_mixture.png, a row for each run, is drawn by

from experiments import infinite_mixture
infinite_mixture.side_by_side("runs/prior", "runs/vae", "runs/finite").savefig("infinite_mixture.png")
"""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Literal

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.runs.command_line import Experiment, main
from genjax_models.runs.configuration import Optimizer, Training, positive, seed_in_range, whole

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from genjax_models.data import Dataset, Prepared
    from genjax_models.models.generator import GeneratorModel
    from genjax_models.models.latent_variable import LatentVariableModel
    from genjax_models.models.mixture import MixtureModel
    from genjax_models.runs.figures import Components
    from genjax_models.types import Objective, Players

_NODES = {1: 4_001, 2: 401}  # of the quadrature, in each latent dimension
_SHOWN = {1: 60, 2: 12}  # components in the picture, in each latent dimension
_PLAYER = {"prior_monte_carlo": "infinite_mixture", "vae": "vae", "finite_mixture": "mixture"}
_IN_WORDS = {
    "prior_monte_carlo": "infinite mixture, from the prior",
    "vae": "infinite mixture, as a VAE",
    "finite_mixture": "finite mixture",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Fit a mixture to points in the plane and report the exact log-likelihood of held-out ones."""

    data: str = "spiral"
    """moons, spiral, ring8, grid25, or a .npz or .npy file of [n, 2] numbers."""
    data_range: tuple[float, float] | None = None
    """Lowest and highest stored value of a data file; by default 0 1."""
    fit: Literal["prior_monte_carlo", "vae", "finite_mixture"] = "prior_monte_carlo"
    """The infinite mixture by samples of the prior, (1.12); the same model as a VAE, (1.28); or a finite one, (1.5)."""
    seed: int = 0
    """Of everything random in the run, in [0, 2^32)."""
    latent: int = 1
    """Dimensions of z of the infinite mixtures: 1 or 2, so that quadrature can integrate over it."""
    hidden: tuple[int, ...] = (64, 64)
    """Widths of the generator's layers; the encoder's are the same, reversed."""
    num_samples: int = 1_000
    """Of prior_monte_carlo: latents drawn at each step, shared by the batch."""
    components: int = 8
    """Of finite_mixture."""
    smallest_scale: float = 0.01
    """Of finite_mixture: keeps its components from shrinking onto single points."""
    training: Training = Training(batch_size=200)
    optimizer: Optimizer = Optimizer(learning_rate=3e-3, schedule="cosine", warmup=200)

    def __post_init__(self):
        seed_in_range(self.seed)
        whole(1, latent=self.latent, hidden=self.hidden, num_samples=self.num_samples, components=self.components)
        if self.latent not in _NODES:
            raise InputError(f"latent must be 1 or 2, so that quadrature can integrate over z, got {self.latent}")
        positive(smallest_scale=self.smallest_scale)
        if self.smallest_scale >= 1:
            raise InputError(f"smallest_scale must be below 1, where components begin, got {self.smallest_scale!r}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return (2,)


def build_model(config: Config) -> GeneratorModel | LatentVariableModel | MixtureModel:
    """The model that the config names. Both infinite mixtures have the same prior, generator and likelihood."""
    from jax.numpy import tanh

    from genjax_models.models.generator import generator_model
    from genjax_models.models.mixture import gaussian_mixture

    if config.fit == "finite_mixture":
        return gaussian_mixture(config.shape, config.components, smallest_scale=config.smallest_scale)
    likelihood = gx.gaussian(config.shape, "isotropic")
    generator = gx.MLPGenerator(likelihood.outputs, config.hidden, tanh)
    if config.fit == "prior_monte_carlo":
        return generator_model(generator, likelihood, config.latent)
    posterior = gx.diagonal_gaussian(config.latent)
    encoder = gx.MLPEncoder(config.shape, posterior.outputs, config.hidden[::-1], tanh)
    return gx.latent_variable_model(encoder, posterior, generator, likelihood)


def build(config: Config) -> Objective:
    """The objective that the config names."""
    from genjax_models.objectives.infinite_mixture import infinite_mixture
    from genjax_models.objectives.mixture import mixture

    model = build_model(config)
    match config.fit:
        case "prior_monte_carlo":
            return infinite_mixture(model, num_samples=config.num_samples)
        case "vae":
            return gx.vae(model)
        case "finite_mixture":
            return mixture(model)


def load(run) -> tuple[Objective, Players]:
    """A finished run: its objective and the variables of its best checkpoint."""
    from genjax_models.runs import experiment

    return experiment.load(EXPERIMENT, run)


def dataset(config: Config) -> tuple[Config, Dataset]:
    """The data set, which must be of points in the plane, and the config."""
    loaded = gx.load(config.data, range=config.data_range)
    if loaded.shape != config.shape:
        raise InputError(
            f"data must be points in the plane, [n, 2], got examples of shape {loaded.shape} from {config.data}"
        )
    return config, loaded


def prepare(config: Config, loaded: Dataset) -> Prepared:
    """The points as they are stored."""
    return gx.prepare(loaded, binarise="none", range=loaded.range)


def evaluate(config: Config):
    """The exact log p(x) of each held-out point; of the VAE also the bound that it was learned by."""
    from genjax_models.evaluation.quadrature import quadrature_log_likelihood

    model, player = build_model(config), _PLAYER[config.fit]

    def values(players, key, batch):
        variables = players[player]
        if config.fit == "finite_mixture":
            return {"log_likelihood": model.distribution(variables).log_prob(batch.x)}
        exact = quadrature_log_likelihood(model, variables, batch.x, nodes=_NODES[config.latent])
        if config.fit == "vae":
            return exact | {"bound": gx.held_out_bound(model, variables, key, batch.x)["bound"]}
        return exact

    return values


def images(config: Config):
    """Draws of x."""
    objective = build(config)
    return lambda players, key, n: objective.sample(players, key, n)


def look(config: Config, players: Players, data: Prepared):
    """The components at three moments of training; and what the findings need to know."""
    from genjax_models.data import synthetic
    from genjax_models.evaluation.findings import Facts
    from genjax_models.runs import pictures

    what = "components N(g(z), sigma(z)^2 I) at equal steps of p(z), each a circle of radius sigma(z)"
    if config.fit == "finite_mixture":
        what = "all components, the paler the smaller their weight"
    if config.data in synthetic.SOURCES:
        ceiling = synthetic.log_density(config.data, data.test.x).mean()
        what += f"; the distribution that the data were drawn from has {ceiling:.2f} nats"
    active = None
    if config.fit == "vae":
        active = gx.latent_usage(build_model(config), players["vae"], data.validation.x).active
    facts = Facts(metric="log_likelihood", active=active, density=True, values=data.validation.x)
    return facts, [pictures.components(data.test.x, _IN_WORDS[config.fit], moments(config, players, data), what)]


def side_by_side(*runs: Path | str) -> Figure:
    """The components of finished runs on one data set, a row for each: the figure of 1.3.3 for each way of learning."""
    from genjax_models.runs import directory, figures

    rows = {}
    for run in runs:
        config = directory.read_config(run, Config, EXPERIMENT.name)
        data = prepare(*dataset(config))
        rows[_IN_WORDS[config.fit]] = moments(config, load(run)[1], data)
    return figures.components(data.test.x, rows)


def moments(config: Config, players: Players, data: Prepared) -> list[Components]:
    """The components before training, after a twentieth of it, and of `players`, with their log-likelihood.

    The early ones are learned again, since a run keeps few checkpoints: the same seed is the same run.
    """
    import jax

    from genjax_models.evaluation.estimates import estimate
    from genjax_models.runs.fit import evaluation_key

    objective, early = build(config), config.training.steps // 20
    optimizer = config.optimizer.build(config.training.steps)
    training = dataclasses.replace(config.training, steps=early, evaluate_every=max(early, 1))
    seen = {}

    def keep(progress, row):
        seen[f"step {row['step']:,}"] = jax.device_get(progress.state.variables)

    trainer = gx.trainer(objective, dict.fromkeys(objective.losses, optimizer))
    gx.fit(trainer, data, training, seed=config.seed, on_evaluation=keep)
    seen["best checkpoint"] = players
    values = jax.jit(evaluate(config))
    shown = []
    for when, players in seen.items():
        log_likelihood = estimate(values(players, evaluation_key(), data.test)["log_likelihood"])
        shown.append(components(config, players, f"{when}: {log_likelihood} nats".replace("+-", "±")))
    return shown


def components(config: Config, players: Players, title: str) -> Components:
    """All Gaussians of the finite mixture; of an infinite one those at equal steps of prior probability."""
    import numpy as np
    from scipy.stats import norm

    from genjax_models.runs import figures

    model, variables = build_model(config), players[_PLAYER[config.fit]]
    if config.fit == "finite_mixture":
        p = model.distribution(variables).vectors
        gaussians = p.components_distribution
        return figures.Components(title, gaussians.mean(), gaussians.covariance(), p.mixture_distribution.probs)
    side = _SHOWN[config.latent]
    z = figures.manifold_grid(side) if config.latent == 2 else norm.ppf((np.arange(side)[:, None] + 0.5) / side)
    p = model.likelihood(variables, np.asarray(z, np.float32)).vectors.distribution
    return figures.Components(title, p.loc, np.asarray(p.scale)[..., None] ** 2 * np.eye(2))


EXPERIMENT = Experiment(
    name="infinite_mixture",
    title="Mixtures of Gaussians",
    config=Config,
    metric="log_likelihood",
    higher_is_better=True,
    unit="nats",
    images_are="draws of x",
    build=build,
    dataset=dataset,
    prepare=prepare,
    evaluate=evaluate,
    images=images,
    look=look,
)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
