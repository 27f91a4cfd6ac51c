"""Pictures of a generator from known factors: truth and generated views, mixtures of styles, sums of styles."""

from collections.abc import Mapping

import numpy as np

from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.types import Array


def views(splits: Mapping[str, tuple[Array, Array]], errors: Mapping[str, float]) -> Picture:
    """Returns views of each split, truth above generated.

    Args:
      splits: name -> truth and generated pictures, `[n, height, width, channels]` each.
      errors: name -> squared error per number, for the caption.
    """
    images = np.concatenate([np.asarray(images) for pair in splits.values() for images in pair])
    titles = [title for name in splits for title in (name, "generated")]
    grid = {"titles": titles, "heading": "Views of each split, and generated"}
    figure = plots.image_grid(images, columns=len(next(iter(splits.values()))[0]), **grid)
    numbers = ", ".join(f"{name} {error:.2g}" for name, error in errors.items())
    caption = f"Views of each split above the generated views. Squared error per number of the whole split: {numbers}."
    return Picture("views", "Truth and generated views", caption, plots.png(figure))


def morphing(rows: Array) -> Picture:
    """Returns rows of pictures `[rows, columns, ...]` from one style to another."""
    images, columns = np.concatenate(np.asarray(rows)), len(rows[0])
    above = [f"{weight:.0%}" for weight in np.linspace(0, 1, columns)]
    figure = plots.image_grid(images, columns=columns, above=above, heading="Weight of the second style")
    caption = (
        "Each row goes from one style to another, by weights of both that sum to 1. Both ends are styles of the data."
        " Training has no mixtures."
    )
    return Picture("morphing", "Morphing between styles", caption, plots.png(figure))


def sums_of_styles(rows: Array) -> Picture:
    """Returns rows of pictures `[rows, 4, ...]` of styles a, b, c and a - b + c."""
    above = ("a", "b", "c", "a - b + c")
    grid = {"above": above, "heading": "Sums of styles"}
    figure = plots.image_grid(np.concatenate(np.asarray(rows)), columns=len(rows[0]), **grid)
    caption = "Each row: styles a, b and c, and the sum of their style weights a - b + c, seen alike."
    return Picture("arithmetic", "Sums of styles", caption, plots.png(figure))


def walk_over_factors(rows: Mapping[str, Array], most: float) -> Picture:
    """Returns a row of pictures per factor of change, from -`most` to `most` times its largest training value."""
    columns = len(next(iter(rows.values())))
    grid = {"titles": tuple(rows), "heading": f"One factor at a time, from -{most:g} to {most:g} of its largest value"}
    figure = plots.image_grid(np.concatenate(list(map(np.asarray, rows.values()))), columns=columns, **grid)
    caption = (
        f"One factor changes in each row, from -{most:g} to {most:g} times its largest value in training. Style, view"
        " and the other factors stay."
    )
    return Picture("factors", "One factor at a time", caption, plots.png(figure))


def checkerboards(images: Mapping[str, Array], amplitudes: Mapping[str, float]) -> Picture:
    """Returns a channel `[height, width]` of each layer on a constant input; `amplitudes` are named alike."""
    scaled = [np.asarray(image) / max(float(np.abs(image).max()), 1e-12) for image in images.values()]
    stacked = np.stack([0.5 + 0.5 * image for image in scaled])[..., None]
    names = tuple(name.replace(" ", "\n") for name in images)
    figure = plots.image_grid(stacked, columns=len(stacked), above=names, heading="Output for a constant input")
    numbers = ", ".join(f"{name} {amplitude:.2f}" for name, amplitude in amplitudes.items())
    caption = (
        "Output of each layer that doubles the picture, for an input of ones: grey is 0. Standard deviation over the"
        f" four pixels of a block, relative to their root mean square: {numbers}."
    )
    return Picture("checkerboard", "Checkerboard on a constant input", caption, plots.png(figure))
