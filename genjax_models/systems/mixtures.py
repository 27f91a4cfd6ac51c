"""Finite and infinite mixtures of Gaussians in the plane, judged by their exact log-likelihood."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy.special import ndtri

import genjax_models as gx
from genjax_models.data import Prepared, synthetic
from genjax_models.evaluation.estimates import estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.figures import pictures, plots
from genjax_models.figures.mixture_plots import Components
from genjax_models.models import DensityModel, GeneratorModel, LatentVariableModel
from genjax_models.runs.evaluation import evaluation_key
from genjax_models.runs.fit import fit
from genjax_models.runs.protocol import System
from genjax_models.types import Objective, Players, Variables

_NODES = {1: 4_001, 2: 401}  # of the quadrature, per latent dimension
_SHOWN = {1: 60, 2: 12}  # components in a picture, per latent dimension

FIT_NAMES = {
    "prior_monte_carlo": "infinite mixture, from the prior",
    "vae": "infinite mixture, as a VAE",
    "finite_mixture": "finite mixture",
}


def finite_mixture_system(config: Any, objective: Objective, model: DensityModel) -> System:
    """Wires `objectives.mixture` on a finite mixture.

    Args:
      config: with the groups data, training and optimizer, and fit.
      objective: has one player.
      model: of that player.
    """
    (player,) = objective.losses

    def evaluate(players, key, batch):
        return {"log_likelihood": model.distribution(players[player]).log_prob(batch.x)}

    return _system(config, objective, model, evaluate, "all components, the paler the smaller their weight")


def infinite_mixture_system(config: Any, objective: Objective, model: GeneratorModel | LatentVariableModel) -> System:
    """Wires an objective on an infinite mixture, whose log-likelihood is a quadrature over z.

    Args:
      config: with the groups data, training and optimizer, and fit and latent, 1 or 2.
      objective: has one player.
      model: of that player; a model with an encoder has a bound too.
    """
    (player,) = objective.losses

    def evaluate(players, key, batch):
        variables = players[player]
        exact = quadrature_log_likelihood(model, variables, batch.x, nodes=_NODES[config.latent])
        if isinstance(model, LatentVariableModel):
            return exact | {"bound": gx.held_out_bound(model, variables, key, batch.x)["bound"]}
        return exact

    caption = "components N(g(z), sigma(z)^2 I) at equal steps of p(z), each a circle of radius sigma(z)"
    return _system(config, objective, model, evaluate, caption)


def _system(config: Any, objective: Objective, model: Any, evaluate: Callable, caption: str) -> System:
    name, (player,) = config.data.name, objective.losses
    trainer = gx.trainer(objective, {player: config.optimizer.build(config.training.steps)})

    def figures(players, data):
        shown = caption
        if name in synthetic.SOURCES:
            ceiling = synthetic.log_density(name, data.test.x).mean()
            shown += f"; the distribution that the data were drawn from has {ceiling:.2f} nats"
        active = None
        if isinstance(model, LatentVariableModel):
            active = gx.latent_usage(model, players[player], data.validation.x).active
        facts = Facts(active=active, density=True, values=data.validation.x)
        stages = components_over_training(config, system, players, data)
        return facts, [pictures.components(data.test.x, FIT_NAMES[config.fit], stages, shown)]

    prepare = lambda dataset: gx.prepare(dataset, binarise="none", range=dataset.range)
    system = System(objective, trainer, prepare, evaluate, objective.sample, figures, model=model)
    return system._replace(likelihood="gaussian")


def components_over_training(config: Any, system: System, players: Players, data: Prepared) -> list[Components]:
    """Returns the components before training, after a twentieth of it, and of `players`, titled by log-likelihood.

    The early ones are trained again, since a run keeps few checkpoints: the same seed is the same run.
    """
    early = config.training.steps // 20
    training = dataclasses.replace(config.training, steps=early, evaluate_every=max(early, 1))
    stages = {}

    def keep(progress, row):
        stages[f"step {row['step']:,}"] = jax.device_get(progress.state.variables)

    fit(system.trainer, data, training, seed=config.seed, on_evaluation=keep)
    stages["best checkpoint"] = players
    evaluate = jax.jit(system.evaluate)
    shown = []
    for stage, players in stages.items():
        log_likelihood = estimate(evaluate(players, evaluation_key(), data.test)["log_likelihood"])
        (variables,) = players.values()
        title = f"{stage}: {log_likelihood} nats".replace("+-", "±").replace(": -", ": \u2212")
        shown.append(components_of(system.model, variables, config.latent, title))
    return shown


def components_of(model: Any, variables: Variables, latent: int, title: str) -> Components:
    """Returns all Gaussians of a finite mixture; of an infinite one, those at equal steps of prior probability."""
    if isinstance(model, DensityModel):
        mixture = model.distribution(variables).vectors
        gaussians = mixture.components_distribution
        return Components(title, gaussians.mean(), gaussians.covariance(), mixture.mixture_distribution.probs)
    side = _SHOWN[latent]
    z = plots.manifold_grid(side) if latent == 2 else ndtri((np.arange(side)[:, None] + 0.5) / side)
    gaussians = model.likelihood(variables, np.asarray(z, np.float32)).vectors.distribution
    return Components(title, gaussians.loc, np.asarray(gaussians.scale)[..., None] ** 2 * np.eye(2))
