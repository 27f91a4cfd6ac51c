"""Systems around a `LatentVariableModel` with one stochastic layer or more, judged by L_k and NLL(k)."""

from typing import Any

import jax

import genjax_models as gx
from genjax_models.evaluation.estimates import estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.figures import pictures
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.latent_variable import shown_in_words
from genjax_models.systems.precision import warn_if_slower
from genjax_models.types import Objective


def hierarchical_system(config: Any, objective: Objective, model: LatentVariableModel, *, bound_samples: int) -> System:
    """Wires a one-player objective on a model of binary images.

    Args:
      config: with the groups data, training and optimizer, and binarise, precision and judge_samples.
      objective: has one player.
      model: of that player; Bernoulli likelihood.
      bound_samples: k of the held-out bound L_k.
    """
    (player,) = objective.losses

    def prepare(dataset):
        warn_if_slower(config.precision)
        return gx.prepare(dataset, binarise=config.binarise, range=(0, 1))

    def evaluate(players, key, batch):
        options = {"num_samples": bound_samples, "batch_size": 100}
        nll = gx.negative_log_likelihood(model, players[player], key, batch.x, **options)
        return {"bound": -nll["negative_log_likelihood"]}

    def test_metrics(players, key, batch):
        return gx.negative_log_likelihood(model, players[player], key, batch.x, num_samples=config.judge_samples)

    def draw(players, key, n, label=None):
        return model.sample(players[player], key, n, mean=model.has_mean)

    def figures(players, data):
        variables, test, key = players[player], data.test, jax.random.key(0)
        layers = jax.jit(lambda x: gx.latent_usage_by_layer(model, variables, key, x))(test.x)
        information = jax.jit(lambda x: gx.latent_information(model, variables, key, x))(test.x)
        shown, top = [], layers[-1]
        if pictures.drawable(config.data.shape):
            means = tuple(usage.means[:10] for usage in layers)
            decoded = model.shown(variables, key, means[0] if len(layers) == 1 else means)
            content = f"{shown_in_words(model)} at the posterior mean of z"
            shown.append(pictures.reconstructions(test.x[:10], decoded, content, data.range))
        if top.means.shape[1] > 1:
            caption = f"Posterior means of z_{len(layers)} of the test set in the two most active dimensions, by class."
            shown.append(pictures.latent_space(top.means, test.label, top.activity, caption))
        facts = Facts(
            active=tuple(usage.active for usage in layers),
            bernoulli=True,
            values=data.validation.x,
            num_samples=config.judge_samples,
            mutual_information=estimate(information["mutual_information"]),
        )
        return facts, shown

    trainer = gx.trainer(objective, {player: config.optimizer.build(config.training.steps)})
    system = System(objective, trainer, prepare, evaluate, draw, figures, test_metrics, model=model)
    return system._replace(likelihood="bernoulli", binarise=config.binarise)
