"""Pictures of energy models: their weights, and what they fill in."""

import numpy as np

from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.types import Array


def filters(weights: Array, what: str) -> Picture:
    """Returns weights `[n, height, width, channels]` as images, each on a scale of its own; `what` names the units."""
    weights = np.asarray(weights)
    largest = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    figure = plots.image_grid(weights / np.maximum(largest, 1e-12), range=(-1, 1))
    caption = f"Weights of the {len(weights)} {what}. Grey is 0, white raises the unit, black lowers it."
    return Picture("filters", "Weights", caption, plots.png(figure))
