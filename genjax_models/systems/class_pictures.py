"""Pictures of a class-conditional generator: truncations of z, classes interpolated, and kinds of batch statistics."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.data import Prepared
from genjax_models.evaluation.standing_statistics import standing_statistics
from genjax_models.figures import pictures, plots
from genjax_models.figures.pictures import Picture
from genjax_models.models import ImplicitModel
from genjax_models.runs.protocol import System
from genjax_models.types import Array, Players, TrainState, Variables

_COLUMNS, _PAIRS = 10, 5
_AVERAGED = " Averaged: moving averages of weights and statistics."


def with_class_pictures(system: System, truncations: Sequence[float]) -> System:
    """Returns the system, whose pictures also show how samples depend on truncation, class and statistics.

    Args:
      system: of images, with the player "generator"; its model is conditional on a class, with batch normalisation.
      truncations: of z, from the widest to the narrowest.
    """
    model, classes = system.model, system.model.classes
    label, limits, narrowest = jnp.arange(_COLUMNS) % classes, system.range, truncations[-1]

    @jax.jit
    def drawn(variables: Variables, truncation: Array) -> dict[str, Array]:
        """Returns images by the statistics that normalise them; latents have one key at every truncation."""
        key = jax.random.key(0)
        z = model.noise(key, _COLUMNS, truncation)
        standing = standing_statistics(model, variables, jax.random.key(1), truncation=truncation)
        by_batch, _ = model.generate_in_learning(variables, key, z, label)
        running = model.generate(variables, z, label)
        return {"batch": by_batch, "running": running, "standing": model.generate(standing, z, label)}

    def figures(players: Players, data: Prepared):
        facts, shown = system.figures(players, data)
        if not pictures.drawable(data.test.x.shape[1:]):
            return facts, shown
        variables = players["generator"]
        rows = {
            f"up to {truncation:g}": drawn(variables, jnp.float32(truncation))["standing"] for truncation in truncations
        }
        caption = (
            "A row per truncation of z, from the same key; classes in turn. Standing statistics at each truncation."
        )
        grid = _grid(rows, limits, "Samples by the truncation of z, a class per column")
        by_truncation = Picture("truncation", "Truncation", caption, grid)
        return facts, [*shown, by_truncation, _between(model, classes, variables, limits)]

    def state_figures(state: TrainState, data: Prepared) -> list[Picture]:
        if not pictures.drawable(data.test.x.shape[1:]):
            return []
        last = drawn(state.variables["generator"], jnp.float32(narrowest))
        rows, weights = {"batch": last["batch"], "running": last["running"]}, ""
        if "generator" in state.average:
            last = drawn(state.average["generator"], jnp.float32(narrowest))
            rows["averaged"], weights = last["running"], " with averaged weights"
        rows["standing"] = last["standing"]
        caption = (
            f"Samples of the same z at truncation {narrowest:g}. Batch: statistics of the {_COLUMNS} samples drawn."
            f" Running: running averages of training.{_AVERAGED if weights else ''} Standing: statistics of 16 batches"
            f" of 64 samples{weights}, at this truncation."
        )
        title = "Statistics of batch normalisation"
        return [Picture("statistics", title, caption, _grid(rows, limits, title))]

    return system._replace(figures=figures, state_figures=state_figures)


def _grid(rows: Mapping[str, Array], limits: tuple[float, float], heading: str) -> bytes:
    """Returns a PNG with a row per entry."""
    images = np.concatenate([np.asarray(row) for row in rows.values()])
    return plots.png(plots.image_grid(images, columns=_COLUMNS, range=limits, titles=list(rows), heading=heading))


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
    grid = {"titles": titles, "heading": "From class to class, at one z a row"}
    figure = plots.image_grid(np.asarray(drawn(variables, weights)), columns=_COLUMNS, range=limits, **grid)
    caption = "A row per pair of classes, at one z: weights of the classes from one to the other in equal steps."
    return Picture("interpolation", "Between classes", caption, plots.png(figure))
