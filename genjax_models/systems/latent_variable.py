"""Systems around a `LatentVariableModel`: judged by a bound, shown by reconstructions and latent space."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.data import Prepared
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.latents import LatentUsage
from genjax_models.figures import pictures
from genjax_models.figures.pictures import Picture
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import System
from genjax_models.systems.precision import warn_if_slower
from genjax_models.types import Array, Batch, Objective, PRNGKey, Trainer, Variables


def latent_variable_system(
    config: Any,
    objective: Objective,
    model: LatentVariableModel,
    *,
    closed_kl: bool = True,
    evaluate: Callable | None = None,
    test_metrics: Callable | None = None,
    trainer: Trainer | None = None,
    usage_samples: int = 100,
) -> System:
    """Wires an objective on a model with one stochastic layer.

    Args:
      config: with the groups data, likelihood, training and optimizer.
      objective: its first player is the model's; a game has others.
      model: of the first player.
      closed_kl: whether the KL of the bound is closed, or estimated by samples.
      evaluate: held-out figures. Default: bound, reconstruction and KL.
      test_metrics: costlier figures of the test split.
      trainer: of the objective. Default: the optimizer of the config for every player.
      usage_samples: draws per test example for the posterior means, if they have no closed form.
    """
    player, *_ = objective.losses
    classes = config.data.classes

    def label_of(batch: Batch) -> Array | None:
        return batch.label if classes else None

    def bound(players, key, batch):
        form = "kl" if closed_kl else "monte_carlo"
        return gx.held_out_bound(model, players[player], key, batch.x, label=label_of(batch), form=form)

    def draw(players, key, n, label=None):
        if label is None and classes:
            label = jnp.arange(n) % classes
        return model.sample(players[player], key, n, label=label, mean=model.has_mean)

    def figures(players, data):
        return _figures(config, model, players[player], data, label_of(data.test), usage_samples)

    def prepare(dataset):
        warn_if_slower(config.networks.precision)
        return config.likelihood.prepare(dataset)

    trainer = trainer or gx.trainer(objective, config.optimizer.build(config.training.steps))
    system = System(objective, trainer, prepare, evaluate or bound, draw, figures, test_metrics, model=model)
    group = config.likelihood
    return system._replace(likelihood=group.family, binarise=group.binarise, density_range=group.density_range)


def with_factors_of_codes(config: Any, system: System) -> System:
    """Returns the system with a further picture: posterior means of the test split, coloured by each known factor.

    Args:
      config: with the group data (`FactorData`) and a field latent. One latent dimension has no such picture.
      system: of a game of one player, whose model has one stochastic layer.
    """

    def figures(players, data):
        facts, shown = system.figures(players, data)
        if config.latent < 2:
            return facts, shown
        (player,) = system.objective.losses
        label = data.test.label if config.data.classes else None
        (usage,) = usage_by_layer(system.model, players[player], jax.random.key(0), data.test.x, label)
        by_factor = pictures.latent_space_by_factor(usage.means, data.test.factors, config.data.factors, usage.activity)
        return facts, [*shown, by_factor]

    return system._replace(figures=figures)


def _figures(
    config: Any,
    model: LatentVariableModel,
    variables: Variables,
    data: Prepared,
    label: Array | None,
    usage_samples: int,
) -> tuple[Facts, list[Picture]]:
    """Reconstructions, the manifold of a 2-D latent space, posterior means, and KL by dimension."""
    test, key = data.test, jax.random.key(0)
    (usage,) = usage_by_layer(model, variables, key, test.x, label, num_samples=usage_samples)
    shape, shown = usage.means.shape[1:], []
    if pictures.drawable(config.data.shape):
        decode, what = partial(jax.jit(model.shown), variables, key), shown_in_words(model)
        decoded = decode(usage.means[:10], None if label is None else label[:10])
        shown.append(pictures.reconstructions(test.x[:10], decoded, f"{what} at the posterior mean of z", data.range))
        if shape == (2,) and label is None:
            content = "g(z) = E[x | z]" if model.has_mean else "A draw from p(x | z)"
            shown.append(pictures.manifold(decode, data.range, content))
    if math.prod(shape) > 1:
        caption = "Posterior means of the test set in the two most active dimensions, coloured by class if it is known."
        shown.append(pictures.latent_space(usage.means, test.label, usage.activity, caption))
    if usage.kl_by_dimension is not None:
        shown.append(pictures.kl_by_dimension(usage))
    family = config.likelihood.family
    facts = Facts(
        active=usage.active, bernoulli=family == "bernoulli", density=family == "gaussian", values=data.validation.x
    )
    return facts, shown


def shown_in_words(model: LatentVariableModel) -> str:
    """Returns what `model.shown` returns, for captions."""
    return "E[x | z]" if model.has_mean else "a draw from p(x | z)"


# Compiled once for all members of a run: no variables are constants in it.
@partial(jax.jit, static_argnums=0, static_argnames="num_samples")
def usage_by_layer(
    model: LatentVariableModel,
    variables: Variables,
    key: PRNGKey,
    x: Array,
    label: Array | None,
    *,
    num_samples: int = 100,
) -> tuple[LatentUsage, ...]:
    """Returns `latent_usage_by_layer`, compiled."""
    return gx.latent_usage_by_layer(model, variables, key, x, label=label, num_samples=num_samples)
