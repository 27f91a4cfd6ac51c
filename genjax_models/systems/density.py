"""Systems around a `DensityModel`: judged by the exact log-likelihood of held-out data, shown by draws."""

from collections.abc import Callable
from typing import Any

import genjax_models as gx
from genjax_models.errors import InputError
from genjax_models.evaluation.findings import Facts
from genjax_models.models import DensityModel, Family
from genjax_models.runs.protocol import System
from genjax_models.systems.groups import Likelihood
from genjax_models.types import Objective, Shape


def family_by_number(likelihood: Likelihood) -> Callable[[Shape], Family]:
    """Returns shape -> family of independent numbers, as autoregressive models take it.

    Raises:
      InputError: the scale is one number per example, which would depend on all numbers.
    """
    if likelihood.scale == "isotropic":
        raise InputError("scale must be global, diagonal or a number, got isotropic, which is one per example")
    return likelihood.build


def density_system(config: Any, objective: Objective, model: DensityModel) -> System:
    """Wires `objectives.maximum_likelihood` on a model with an exact log-density.

    Args:
      config: with the groups data, likelihood, training and optimizer.
      objective: has one player.
      model: of that player.
    """
    (player,) = objective.losses

    def evaluate(players, key, batch):
        return {"log_likelihood": model.distribution(players[player]).log_prob(batch.x)}

    def draw(players, key, n, label=None):
        return model.sample(players[player], key, n)

    def figures(players, data):
        family = config.likelihood.family
        return Facts(bernoulli=family == "bernoulli", density=family == "gaussian", values=data.validation.x), []

    trainer = gx.trainer(objective, config.optimizer.build(config.training.steps))
    system = System(objective, trainer, config.likelihood.prepare, evaluate, draw, figures, model=model)
    return system._replace(likelihood=config.likelihood.family, binarise=config.likelihood.binarise)
