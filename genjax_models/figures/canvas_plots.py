"""Plots of a model that paints in steps: its canvas with the windows of attention, still and moving, and KL by step."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from genjax_models.figures.pictures import Picture, Range
from genjax_models.figures.plots import png
from genjax_models.figures.style import BLUE, ORANGE, new_axes
from genjax_models.figures.transparency import on_white
from genjax_models.types import Array

_MOST_COLUMNS = 16  # steps in a picture that stands still
_LAST = 8  # frames for which a film stands still at its end
_FRAME = 250  # milliseconds
_ABOVE = 0.45  # inches from the grid to the top of its heading


def canvases(x: Array, images: Array, reads: Any, writes: Any, range: Range) -> Picture:
    """Returns the canvas by step, as a PNG and as a GIF.

    Args:
      x: examples `[rows, height, width, channels]`.
      images: canvases after each step, `[2 * rows, steps, height, width, channels]`: first of z from q(z | x), then of
        z from the prior.
      reads: `Place` of the windows through which each step read, leaves `[2 * rows, steps]`; None for all pixels.
      writes: `Place` of the windows through which each step wrote; None for all pixels.
      range: lowest and highest value of a pixel.
    """
    images, steps, rows = np.asarray(images), np.shape(images)[1], len(x)
    columns = np.unique(np.linspace(0, steps - 1, min(steps, _MOST_COLUMNS)).round().astype(int))
    height, width = images.shape[2:4]
    figure = Figure(figsize=(0.55 * (1 + len(columns)), 0.55 * height / width * len(images) + 0.3))
    grid = figure.subplots(len(images), 1 + len(columns), squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06})
    for row, axes in enumerate(grid):
        for cell in axes:
            cell.set_axis_off()
        if row < rows:
            _show(axes[0], x[row], range)
        for cell, step in zip(axes[1:], columns, strict=True):
            _show(cell, images[row, step], range)
            _outline(cell, reads, row, step, BLUE)
            _outline(cell, writes, row, step, ORANGE)
    grid[0, 0].set_title("x", fontsize=8)
    for cell, step in zip(grid[0, 1:], columns, strict=True):
        cell.set_title(str(step + 1), fontsize=8)
    above = figure.subplotpars.top + _ABOVE / figure.get_figheight()
    figure.suptitle("Canvas after each step: of images x, then of draws", y=above, fontsize=9)
    caption = (
        f"E[x | z] as it stood after each step. Above: test images x, left, and z from q(z | x). Below, {rows} draws"
    )
    caption += " of z from the prior."
    if reads is not None or writes is not None:
        caption += (
            " Windows of attention: blue where the step read, orange where it wrote, from the first filter to the"
        )
        caption += " last."
    return Picture(
        "canvases", "The canvas by step", caption, png(figure, dpi=150), _film(x, images, reads, writes, range)
    )


def kl_by_step(kl: Array) -> Picture:
    """Returns the KL by step, from the KL of n examples `[n, steps]` in nats."""
    kl = np.asarray(kl, np.float64)
    mean, error = kl.mean(axis=0), kl.std(axis=0, ddof=1) / np.sqrt(len(kl))
    figure, axes = new_axes(max(3.0, 0.3 * len(mean) + 1.5), 2.8)
    axes.bar(np.arange(1, len(mean) + 1), mean, yerr=error, color=BLUE, ecolor=ORANGE)
    axes.set_xlabel("step")
    axes.set_ylabel("KL (nats)")
    axes.grid(alpha=0.25, axis="y")
    caption = (
        f"KL(q(z_t | z_<t, x) || p(z_t)) of each step, mean and standard error over {len(kl):,} test examples:"
        f" {mean.sum():.2f} nats in all."
    )
    return Picture("kl_by_step", "KL by step", caption, png(figure))


def _film(x: Array, images: np.ndarray, reads: Any, writes: Any, range: Range) -> bytes:
    """Returns a GIF: a frame per step, the examples beside their canvases, and the draws of the prior below."""
    rows, steps, frames = len(x), images.shape[1], []
    for step in np.arange(steps):
        figure = Figure(figsize=(0.8 * rows, 0.8 * 3), facecolor="white")
        grid = figure.subplots(3, rows, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06})
        figure.subplots_adjust(0.01, 0.01, 0.99, 0.9)
        figure.suptitle(f"step {step + 1} of {steps}", fontsize=8)
        for column, axes in enumerate(grid.T):
            for cell in axes:
                cell.set_axis_off()
            _show(axes[0], x[column], range)
            for cell, row in zip(axes[1:], (column, rows + column), strict=True):
                _show(cell, images[row, step], range)
                _outline(cell, reads, row, step, BLUE)
                _outline(cell, writes, row, step, ORANGE)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, facecolor="white")
        frames.append(Image.open(buffer).convert("P", palette=Image.Palette.ADAPTIVE))
    film = io.BytesIO()
    durations = [_FRAME] * (steps - 1) + [_FRAME * _LAST]
    frames[0].save(film, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return film.getvalue()


def _show(axes: Any, image: Array, range: Range) -> None:
    unit = np.clip((np.asarray(image) - range[0]) / (range[1] - range[0]), 0, 1)
    unit = on_white(unit) if unit.shape[-1] == 4 else unit
    axes.imshow(unit.squeeze(-1) if unit.shape[-1] == 1 else unit, cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _outline(axes: Any, places: Any, row: int, step: int, color: str) -> None:
    """Draws the square from the first filter of a window to the last; matplotlib's first pixel is at 0."""
    if places is None:
        return
    across, down, side = (float(np.asarray(field)[row, step]) for field in places[:3])
    corner = across - 1 - side / 2, down - 1 - side / 2
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=color, linewidth=1.0, clip_on=True))
