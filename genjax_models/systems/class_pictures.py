"""Pictures of a class-conditional generator: truncations of z, classes interpolated, and kinds of batch statistics."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.evaluation.standing_statistics import standing_statistics
from genjax_models.figures import pictures, plots
from genjax_models.figures.pictures import Picture
from genjax_models.models import ImplicitModel
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Players

_COLUMNS, _PAIRS = 10, 5


def with_class_pictures(system: System, truncations: Sequence[float]) -> System:
    """Returns the system, whose figures also show how samples depend on truncation, class and statistics.

    Args:
      system: of images, with the player "generator"; its model is conditional on a class, with batch normalisation.
      truncations: of z, from the widest to the narrowest.
    """
    model, classes = system.model, system.model.classes

    def figures(players: Players, data: Any):
        facts, shown = system.figures(players, data)
        if not pictures.drawable(data.test.x.shape[1:]):
            return facts, shown
        variables = players["generator"]
        by_truncation = _truncated(model, classes, variables, truncations, system.range)
        return facts, [*shown, *by_truncation, _between(model, classes, variables, system.range)]

    return system._replace(figures=figures)


def _truncated(
    model: ImplicitModel, classes: int, variables: Any, truncations: Sequence[float], limits: Any
) -> list[Picture]:
    """Returns the pictures of truncations and of statistics; one compiled function draws both."""
    label = jnp.arange(_COLUMNS) % classes

    @jax.jit
    def drawn(variables, truncation):
        key = jax.random.key(0)
        z = model.noise(key, _COLUMNS, truncation)
        standing = standing_statistics(model, variables, jax.random.key(1), truncation=truncation)
        by_batch, _ = model.generate_in_learning(variables, key, z, label)
        return by_batch, model.generate(variables, z, label), model.generate(standing, z, label)

    rows = {
        truncation: [np.asarray(images) for images in drawn(variables, jnp.float32(truncation))]
        for truncation in truncations
    }
    grid = lambda images, titles: plots.png(
        plots.image_grid(np.concatenate(images), columns=_COLUMNS, range=limits, titles=titles)
    )
    names = [f"{truncation:g}" for truncation in truncations]
    kinds = ("the batch", "running averages", "standing")
    narrowest = truncations[-1]
    return [
        Picture(
            "truncation",
            "Truncation",
            "A row per truncation of z, from the same key; classes in turn. Standing statistics at each truncation.",
            grid([rows[truncation][2] for truncation in truncations], names),
        ),
        Picture(
            "statistics",
            "Statistics of batch normalisation",
            f"Samples at truncation {narrowest:g} by the statistics of the {_COLUMNS} samples drawn, by the running"
            " averages of training, and by standing statistics of 16 batches of 64 samples at this truncation.",
            grid(rows[narrowest], kinds),
        ),
    ]


def _between(model: ImplicitModel, classes: int, variables: Any, limits: Any) -> Picture:
    """Returns a row per pair of classes, interpolated at one z."""
    firsts = np.arange(_PAIRS) * 2 % classes
    pairs = [(int(first), int(first + 1) % classes) for first in firsts]
    share = jnp.linspace(0, 1, _COLUMNS)[None, :, None]
    one_hot: Array = jnp.eye(classes)
    weights = (1 - share) * one_hot[[first for first, _ in pairs], None] + share * one_hot[
        [last for _, last in pairs], None
    ]

    @jax.jit
    def drawn(variables, weights):
        z = jnp.repeat(model.noise(jax.random.key(0), _PAIRS), _COLUMNS, axis=0)
        return model.generate(variables, z, weights.reshape(-1, classes))

    titles = [f"{first} to {last}" for first, last in pairs]
    figure = plots.image_grid(np.asarray(drawn(variables, weights)), columns=_COLUMNS, range=limits, titles=titles)
    caption = "A row per pair of classes, at one z: weights of the classes from one to the other in equal steps."
    return Picture("interpolation", "Between classes", caption, plots.png(figure))
