"""Colours of pictures."""

import matplotlib
import numpy as np
from PIL import Image


def matplotlib_colours(image: Image.Image) -> list:
    """Returns the first four colours of matplotlib's cycle, no colours of `figures.palette`, that an image has."""
    rgb = np.asarray(image.convert("RGB")).reshape(-1, 3)
    first = matplotlib.color_sequences["tab10"][:4]
    return [colour for colour in first if np.all(rgb == np.round(255 * np.array(colour)), axis=1).sum() >= 10]
