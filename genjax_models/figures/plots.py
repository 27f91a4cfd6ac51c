"""Plots of images: arrays in, a matplotlib `Figure` out; and `png`, the file of any figure."""

import io
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from scipy.special import ndtri

from genjax_models.figures.style import PALE, new_axes
from genjax_models.figures.transparency import on_white
from genjax_models.types import Array

_WHITE = 0.9  # mean of the edges of images that are white there
CHANNELS = (1, 3, 4)  # of images that can be drawn: grey, colours, colours and alpha


def png(figure: Figure, dpi: int = 120) -> bytes:
    """Returns the figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def image_grid(
    images: Array,
    *,
    columns: int | None = None,
    range: tuple[float, float] = (0, 1),
    titles: Sequence[str] = (),
    above: Sequence[str] = (),
    heading: str = "",
) -> Figure:
    """Returns a grid of images `[n, height, width, 1, 3 or 4]`.

    Images of straight (not premultiplied) colours and alpha are drawn on white.

    Args:
      images: row by row.
      columns: of the grid. Default: as many as rows.
      range: values that are black and white, or no and full colour; by default of images in [0, 1]. Values outside
        are clipped.
      titles: labels to the left of the rows.
      above: labels above the columns.
      heading: title of the grid.
    """
    images = np.asarray(images)
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    grid = mosaic(images, rows, columns, range)
    words = 0.25 * bool(heading) + 0.2 * bool(above)  # inches
    height = 0.55 * rows * images.shape[1] / images.shape[2] + words
    figure, axes = new_axes(0.55 * columns + (0.9 if titles else 0), height)
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    height, width = grid.shape[0] / rows, grid.shape[1] / columns
    axes.set_xticks([width * (column + 0.5) for column, _ in enumerate(above)], above, fontsize=8)
    axes.xaxis.tick_top()
    axes.set_yticks([height * (row + 0.5) for row, _ in enumerate(titles)], titles)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if heading:
        axes.set_title(heading, fontsize=9)
    return figure


def image_grids(grids: Sequence[tuple[str, Array]]) -> Figure:
    """Returns square grids side by side: titles, and images `[n, height, width, channels]` in [0, 1]."""
    figure = Figure(figsize=(4.2 * len(grids), 4.4), layout="constrained")
    for axes, (title, images) in zip(figure.subplots(1, len(grids), squeeze=False)[0], grids, strict=True):
        side = math.ceil(math.sqrt(len(images)))
        axes.imshow(mosaic(images, side, side, (0, 1)), interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    return figure


def reconstructions(x: Array, reconstruction: Array, *, pairs: int = 10, range: tuple[float, float] = (0, 1)) -> Figure:
    """Returns inputs `[n, ...]` above their reconstructions `[n, ...]`."""
    both = np.concatenate([np.asarray(x)[:pairs], np.asarray(reconstruction)[:pairs]])
    rows = {"titles": ("input", "output"), "heading": "Reconstructions"}
    return image_grid(both, columns=min(pairs, len(x)), range=range, **rows)


def manifold(images: Array, *, range: tuple[float, float] = (0, 1), heading: str = "g(z) on a grid of z") -> Figure:
    """Returns g(z) on the grid of `manifold_grid`, from images `[side^2, height, width, channels]` (Fig. 20.6).

    Cut-outs (four channels) have a line between them.
    """
    side = math.isqrt(len(images))
    grid = mosaic(np.asarray(images), side, side, range, gap=int(np.shape(images)[3] == 4))
    figure, axes = new_axes(6, 6)
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xlabel="z[0], from low to high", ylabel="z[1], from low to high", xticks=[], yticks=[])
    axes.set_title(heading, fontsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def manifold_grid(side: int) -> np.ndarray:
    """Returns codes `[side^2, 2]` at equal steps of probability: a square grid through the inverse Gaussian CDF.

    The second coordinate decreases from row to row; the first increases from column to column.
    """
    steps = ndtri((np.arange(side) + 0.5) / side)
    first, second = np.meshgrid(steps, steps[::-1])
    return np.stack([first.ravel(), second.ravel()], axis=-1).astype(np.float32)


def mosaic(images: Array, rows: int, columns: int, range: tuple[float, float], gap: int = 1) -> np.ndarray:
    """Returns images `[n, height, width, channels]` as one image of red, green and blue in [0, 1].

    The gaps are white, or grey if the edges of the images are white.
    """
    images = np.asarray(images)
    height, width, channels = images.shape[1:]
    if channels not in CHANNELS:
        raise ValueError(f"images must have 1, 3 or 4 channels, got {channels}")
    unit = np.clip((images - range[0]) / (range[1] - range[0]), 0, 1)
    if channels == 4:
        unit, channels = on_white(unit), 3
    edges_are_white = unit[:, (0, -1)].mean() > _WHITE
    between = to_rgb(PALE if edges_are_white else "white")[:channels]
    grid = np.ones((rows * (height + gap), columns * (width + gap), channels), np.float32) * np.asarray(
        between, np.float32
    )
    empty = np.ones((rows * columns - len(unit), height, width, channels))
    for i, image in enumerate([*unit, *empty]):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        grid[top : top + height, left : left + width] = image
    return np.repeat(grid, 3, axis=-1) if channels == 1 else grid
