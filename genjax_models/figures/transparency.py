"""Images with an alpha channel, shown on white."""

import numpy as np

from genjax_models.types import Array


def on_white(images: Array, highest: float = 1.0) -> np.ndarray:
    """Returns red, green and blue `[..., 3]` on white: alpha * colour + (1 - alpha) * white, float32.

    Args:
      images: straight (not premultiplied) red, green, blue and alpha, `[..., 4]`, in [0, highest].
      highest: value of white and of full alpha.
    """
    images = np.asarray(images, np.float32)
    alpha = images[..., 3:] / highest
    return alpha * images[..., :3] + (1 - alpha) * highest
