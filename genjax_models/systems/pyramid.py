"""The system of a Laplacian pyramid of adversarial networks, with samples without their margin."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from genjax_models.data import Prepared
from genjax_models.data.padding import without_margin
from genjax_models.estimators.laplacian_pyramid import gaussian_pyramid, laplacian_pyramid, upsample
from genjax_models.figures import pictures, plots
from genjax_models.figures.pictures import Picture
from genjax_models.models import LaplacianPyramidGAN
from genjax_models.runs.protocol import System
from genjax_models.systems.sampler import sampler_system
from genjax_models.types import Array, Objective, Players, Trainer

RANGE = (-1, 1)  # of tanh
_COLUMNS = 10  # images in a row of the pictures


def pyramid_system(
    config: Any, objective: Objective, trainer: Trainer, model: LaplacianPyramidGAN, *, range: tuple[float, float]
) -> System:
    """Wires the game of all levels.

    Args:
      config: with the group data, `PaddedImages`.
      objective: `objectives.lapgan` of the model.
      trainer: of the objective.
      model: a pair of networks per level.
      range: of the images.
    """
    view = lambda x: without_margin(jnp.clip(x, *range), *config.data.size)
    system = sampler_system(config, objective, trainer, range=range, view=view)

    def figures(players, data):
        facts, shown = system.figures(players, data)
        if not pictures.drawable(config.data.shape):
            return facts, shown
        levels = [
            _coarse_to_fine(model, players, config.data.classes),
            _refined(model, players, data),
            _real_pyramid(len(model.pairs), data),
        ]
        return facts, [*levels, *shown]

    return system._replace(figures=figures)


def _coarse_to_fine(model: LaplacianPyramidGAN, players: Players, classes: int | None) -> Picture:
    label = jnp.arange(_COLUMNS) % classes if classes else None
    levels = jax.jit(lambda players: model.sample_levels(players, jax.random.key(0), _COLUMNS, label=label))(players)
    caption = "Draws by level, the coarsest on top: each level adds detail to the enlarged image above it."
    return _rows("coarse_to_fine", "Samples, coarse to fine", caption, _sizes(levels), levels[::-1])


def _refined(model: LaplacianPyramidGAN, players: Players, data: Prepared) -> Picture:
    test = jax.tree.map(lambda a: a[:_COLUMNS], data.test)
    coarsest = gaussian_pyramid(test.x, len(model.pairs))[-1]
    fine, *_ = jax.jit(lambda players: model.refine(players, jax.random.key(0), coarsest, label=test.label))(players)
    caption = (
        "The coarsest level of test images, the images that the finer levels make of it, and the test images. Samples"
        " that look worse than the middle row owe this to the coarsest level."
    )
    return _rows("refined", "Refined", caption, ("coarsest", "refined", "test image"), (coarsest, fine, test.x))


def _real_pyramid(levels: int, data: Prepared) -> Picture:
    x = data.test.x[:_COLUMNS]
    pyramid = laplacian_pyramid(x, levels)
    caption = (
        "Test images (last row) and their Laplacian pyramid, the coarsest image on top; grey is 0 in the detail rows."
    )
    return _rows("pyramid", "The pyramid of real images", caption, (*_sizes(pyramid), "sum"), (*pyramid[::-1], x))


def _sizes(levels: Sequence[Array]) -> list[str]:
    """Height and width of each level, the coarsest first."""
    return [f"{image.shape[1]} x {image.shape[2]}" for image in levels[::-1]]


def _rows(name: str, title: str, caption: str, names: Sequence[str], rows: Sequence[Array]) -> Picture:
    """Images of several sizes, all enlarged to the size of the last row, in rows with names."""
    enlarged = []
    for image in rows:
        while image.shape[1] < rows[-1].shape[1]:
            image = upsample(image)
        enlarged.append(image)
    grid = {"titles": names, "heading": title}
    figure = plots.image_grid(jnp.concatenate(enlarged), columns=len(rows[-1]), range=RANGE, **grid)
    return Picture(name, title, caption, plots.png(figure))
