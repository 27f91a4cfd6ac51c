"""Pictures of colourings: several colours for one grey picture, and how far they differ."""

from collections.abc import Mapping

import numpy as np

from genjax_models.figures import plots
from genjax_models.figures.pictures import Picture
from genjax_models.types import Array


def colourings(rows: Mapping[str, Array], spreads: Mapping[str, Array]) -> Picture:
    """Returns rows of pictures `[n, h, w, 3]` in [0, 1], and below them rows of spreads `[n, h, w]`, dark if large."""
    largest = max(max(float(np.max(spread)) for spread in spreads.values()), 1e-6)
    maps = [1 - np.repeat(np.asarray(spread)[..., None] / largest, 3, axis=-1) for spread in spreads.values()]
    images = np.concatenate([*(np.asarray(row) for row in rows.values()), *maps])
    grid = {"titles": (*rows, *spreads), "heading": f"Colours for grey pictures (spread: white 0, black {largest:.2f})"}
    figure = plots.image_grid(images, columns=len(images) // (len(rows) + len(maps)), **grid)
    caption = (
        "A column per test picture. Draws are E[y | x, z] for z from the prior; the regression has no z. Below: the"
        f" standard deviation over colours of each pixel, from 0 (white) to {largest:.2f} (black)."
    )
    return Picture("colourings", "Colours for grey pictures", caption, plots.png(figure))
