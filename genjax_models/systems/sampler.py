"""Systems without a likelihood: judged and shown by their samples."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import genjax_models as gx
from genjax_models.evaluation.estimates import Estimate, estimate
from genjax_models.evaluation.findings import Facts
from genjax_models.evaluation.labels import class_accuracy
from genjax_models.evaluation.samples import SampleFigure
from genjax_models.figures import pictures
from genjax_models.figures.pictures import Picture
from genjax_models.models import LatentVariableModel
from genjax_models.runs.protocol import Metric, System
from genjax_models.systems.samples import (
    default_features,
    held_out_distances,
    nearest_training_examples,
    rows_of_classes,
    shipped_classifier,
)
from genjax_models.types import Array, Objective, Trainer

KERNEL_DISTANCE = Metric("kernel_distance")
_BLOCK = 500  # samples drawn at once for the report


def sampler_system(
    config: Any,
    objective: Objective,
    trainer: Trainer,
    *,
    range: tuple[float, float],
    draw: Callable | None = None,
    view: Callable[[Array], Array] = lambda x: x,
    block: int | None = _BLOCK,
) -> System:
    """Wires an objective on images whose samples are compared with the data.

    Args:
      config: with the group data.
      objective: `objective.sample` draws the samples.
      trainer: of the objective.
      range: of the generator's values, to which the data are scaled.
      draw: (players, key, n, label=None) -> samples. Default: `objective.sample`, of a conditional model with its
        classes in turn.
      view: applied to samples and to data before they are compared (a crop, say).
      block: samples drawn at once for the report; None draws all at once.
    """
    classes, name = config.data.classes, config.data.name
    classifier = shipped_classifier(name, range) if classes else None

    def drawn(players, key, n, label=None, **options):
        if label is None and classes:
            label = jnp.arange(n) % classes
        return view((draw or objective.sample)(players, key, n, label=label, **options))

    def evaluate(players, key, batch):
        label = batch.label if classes else None
        samples = drawn(players, key, len(batch.x), label)
        values = held_out_distances(samples, view(batch.x), name, range)
        if classifier:
            values["class_accuracy"] = class_accuracy(classifier.log_probabilities(samples), label)
        return values

    def figures(players, data):
        if not pictures.drawable(config.data.shape):
            return Facts(), []
        draws, features = _many(drawn, players, classes, block), default_features(name, range)
        neighbours, of_samples = nearest_training_examples(draws, _viewed(data, view), features)
        if not classifier:
            return Facts(samples=of_samples), [neighbours]
        rows, accuracy = _classes(drawn, players, classifier, range)
        return Facts(samples={**of_samples, "class_accuracy": accuracy}), [rows, neighbours]

    prepare = lambda dataset: gx.prepare(dataset, binarise="none", range=range)
    return System(objective, trainer, prepare, evaluate, drawn, figures, range=range)


def adversarial_system(config: Any, generator: nn.Module, discriminator: nn.Module) -> System:
    """Wires the game of two networks.

    Args:
      config: with `latent` and the groups data, adversary, game, optimizer and training.
      generator: z `[n, latent]`, and the class if the data have classes, -> x; its values have a range.
      discriminator: x, and the class, -> logits `[n]`.
    """
    latent, classes = config.latent, config.data.classes
    objective = config.adversary.build(gx.adversarial_pair(generator, discriminator, latent, classes=classes))
    trainer = config.game.trainer(objective, config.optimizer, config.training.steps)
    model = gx.implicit_model(generator, latent, classes=classes)
    return sampler_system(config, objective, trainer, range=objective.range)._replace(model=model)


def with_likelihood(
    config: Any,
    objective: Objective,
    trainer: Trainer,
    model: LatentVariableModel,
    *,
    bound_samples: int,
    test_samples: int = 1_000,
) -> System:
    """Wires a one-player objective on a model judged by its bound, and by g(z) = E[x | z] as samples.

    Samples of a model without E[x | z] are draws of x.

    Args:
      config: as in `sampler_system`.
      objective: has one player.
      trainer: of the objective.
      model: of that player; E[x | z] is in [0, 1].
      bound_samples: k of the held-out bound.
      test_samples: k of NLL(k) on the test split.
    """
    (player,) = objective.losses

    def draw(players, key, n, label=None):
        return model.sample(players[player], jax.random.fold_in(key, 0), n, mean=model.has_mean)

    system = sampler_system(config, objective, trainer, range=(0, 1), draw=draw, block=None)

    def nll(players, key, batch, k=test_samples):
        return gx.negative_log_likelihood(model, players[player], key, batch.x, num_samples=k)

    def evaluate(players, key, batch):
        bound = -nll(players, key, batch, bound_samples)["negative_log_likelihood"]
        return system.evaluate(players, key, batch) | {"bound": bound}

    def figures(players, data):
        facts, shown = system.figures(players, data)
        return facts._replace(num_samples=test_samples), shown

    told = {"likelihood": "gaussian", "density_range": lambda dataset: (0, 1)}
    return system._replace(evaluate=evaluate, figures=figures, test_metrics=nll, model=model, **told)


def _viewed(data, view):
    """The prepared data as they are compared."""
    field = lambda batch: batch._replace(x=view(batch.x))
    return data._replace(
        validation=field(data.validation),
        test=field(data.test),
        each_step=lambda key, batch: field(data.each_step(key, batch)),
    )


def _many(draw: Callable, players, classes: int | None, block: int | None) -> Callable[[int], Array]:
    """n -> samples. Classes are drawn at random, so that any part of the samples has all of them."""

    def drawn(key, n):
        if classes is None and block is None:
            return draw(players, key, n)
        label_key, sample_key = jax.random.split(key)
        label = jax.random.randint(label_key, (n,), 0, classes) if classes else None
        return draw(players, sample_key, n, label)

    compiled = jax.jit(drawn, static_argnums=1)
    if block is None:
        return lambda n: compiled(jax.random.key(0), n)
    return lambda n: jnp.concatenate([compiled(jax.random.key(i), block) for i in range(-(-n // block))])[:n]


def _classes(draw: Callable, players, classifier, limits: tuple[float, float]) -> tuple[Picture, SampleFigure]:
    """Returns twelve samples of each class, the accuracy on 1,000 of each, and the accuracy on test images."""
    label = jnp.repeat(jnp.arange(classifier.classes), 1_000)
    asked = jax.jit(lambda key, label: draw(players, key, len(label), label))
    blocks = enumerate(label.reshape(-1, _BLOCK))
    samples = jnp.concatenate([asked(jax.random.key(i), block) for i, block in blocks])
    accuracy = estimate(class_accuracy(classifier.log_probabilities(samples), label))
    of_data = Estimate(classifier.accuracy, math.nan, 1)
    rows = samples.reshape(classifier.classes, 1_000, *samples.shape[1:])[:, :12].reshape(-1, *samples.shape[1:])
    return rows_of_classes(rows, classifier, limits), SampleFigure(accuracy, of_data)
