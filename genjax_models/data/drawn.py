"""Images that this package draws itself: drawn once, then read from the cache."""

import contextlib
import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from genjax_models.data import image_cache, records
from genjax_models.errors import InputError


def drawn_once(rule: str, draw: Callable[[], Iterable[np.ndarray]]) -> np.ndarray:
    """Returns images `[n, *shape]` from the cache, or draws and keeps them.

    Args:
      rule: all that determines the images, with a number that changes with the code that draws; the key is its sha256.
      draw: () -> images, uint8, of one shape.

    Raises:
      InputError: as `draw` does. A cache that cannot be used is a warning.
    """
    failed = []

    def drawn() -> Iterator[np.ndarray]:
        try:
            yield from draw()
        except InputError as error:
            failed.append(error)
            raise

    try:
        folder = image_cache.cleaned(image_cache.default_folder())
        file = folder / f"{hashlib.sha256(f'genjax_models drawn {rule}'.encode()).hexdigest()}.records"
        if (stored := records.kept(file)) is not None:
            with contextlib.suppress(InputError):  # it is damaged, and drawn again
                return np.asarray(stored[0])
        return np.asarray(records.keep(file, drawn()))
    except InputError as error:
        if error in failed:
            raise
        warnings.warn(f"images are drawn, and not kept ({error})", stacklevel=3)
        return np.stack(list(draw()))


def side(name: str, size: int) -> int:
    """Returns the side of images in pixels.

    Raises:
      InputError: the side is not between 8 and 512.
    """
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 8 <= size <= 512:
        raise InputError(f"{name}: the side of images must be 8 to 512 pixels, got {size!r}")
    return int(size)
