"""Binary sprites of five known factors, in the design of dSprites (Matthey et al., 2017), drawn by this package.

The grid has 3 shapes x 6 scales x 40 orientations x 32 x 32 places = 737,280 images. Any row is drawn on demand.
"""

from collections.abc import Iterator

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.drawn import drawn_once, side
from genjax_models.data.factors import Factor, Source, checked_rows
from genjax_models.data.splits import Split, copies_note, split_at_random
from genjax_models.errors import InputError

SIZE = 64
SIZES = (40_000, 5_000, 5_000)
SHAPES = ("square", "ellipse", "heart")
FACTORS = (
    Factor("shape", 3, (0.0, 2.0)),
    Factor("scale", 6, (0.0, 5.0)),  # half widths from 0.07 to 0.14 widths of the image
    Factor("orientation", 40, (0.0, 39.0), circular=True),
    Factor("x", 32, (0.0, 31.0)),  # centres from 0.2 to 0.8 widths of the image
    Factor("y", 32, (0.0, 31.0)),
)
GRID = tuple(factor.size or 1 for factor in FACTORS)
TOTAL = int(np.prod(GRID))
_REACH = 0.17  # half the side of a square around any sprite, in widths of the image
_SAMPLES = 2  # in a pixel, along each axis
_CHUNK = 200  # images that are drawn at once


def sprites(size: int = SIZE) -> Dataset:
    """Returns 50,000 rows of the grid, drawn without replacement, as binary images, uint8 `[size, size, 1]`.

    Training, validation and test have about 40,000, 5,000 and 5,000. A turned square or ellipse looks like another
    row; copies stay in one split, so that held-out images are new. The label is the shape. `source` has the whole grid.
    """
    script = source(size)
    drawn = factors(np.random.RandomState(0).permutation(TOTAL)[: sum(SIZES)])
    x = drawn_once(f"sprites 1 {size} {SIZES}", lambda: _each(script, drawn))
    splits = split_at_random(Split(x, drawn[:, 0].astype(np.int32), factors=drawn), SIZES, where="sprites")
    provenance = f"{sum(SIZES):,} of the {TOTAL:,} sprites of data.sprites, drawn by RandomState(0){copies_note(x)}"
    names = {"class_names": SHAPES, "num_classes": len(SHAPES)}
    return from_splits(*splits, name="sprites", range=(0, 1), factors=FACTORS, provenance=provenance, **names)


def source(size: int = SIZE) -> Source:
    """Returns the whole grid as a source of binary images, uint8 `[n, size, size, 1]`; columns are `FACTORS`.

    `sample` draws each factor uniformly and independently. Row i of a sample does not depend on n.

    Raises:
      InputError: `size` is not between 8 and 512.
    """
    size = side("sprites", size)
    return Source(FACTORS, _sample, lambda values: _draw(values, size), range=(0, 1))


def factors(rows: np.ndarray) -> np.ndarray:
    """Returns the factors of these rows of the grid, float32 `[n, 5]`. The last factor changes fastest.

    Raises:
      InputError: a row is not between 0 and 737,279.
    """
    rows = np.asarray(rows)
    outside = (rows < 0) | (rows >= TOTAL)
    if outside.any():
        raise InputError(f"sprites: rows must be 0 to {TOTAL - 1}, got {rows[outside][0]}")
    return np.stack(np.unravel_index(rows, GRID), axis=-1).astype(np.float32)


def _each(script: Source, values: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(values), _CHUNK):
        yield from script.draw(values[start : start + _CHUNK])


def _sample(generator: np.random.RandomState, n: int) -> np.ndarray:
    return np.floor(generator.uniform(size=(n, len(GRID))) * GRID).astype(np.float32)


def _draw(values: np.ndarray, size: int) -> np.ndarray:
    values = checked_rows("sprites", FACTORS, values)
    parts = [_drawn(values[i : i + _CHUNK], size) for i in range(0, len(values), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, size, size, 1), np.uint8)


def _drawn(values: np.ndarray, size: int) -> np.ndarray:
    """Draws a window around each sprite; a pixel is 1 if more than half of its samples are inside."""
    shape, scale, orientation, column, line = values.astype(np.float64).T[:, :, None, None]
    centre_x, centre_y = 0.2 + 0.6 * column / 31, 0.2 + 0.6 * line / 31
    pixels = int(np.ceil(2 * _REACH * size)) + 1
    left, top = (np.floor((c - _REACH) * size).astype(int).clip(max=size - pixels) for c in (centre_x, centre_y))
    samples = (np.arange(pixels * _SAMPLES) + 0.5) / _SAMPLES  # in pixels, from the corner of the window
    half_width, angle = 0.14 * (0.5 + 0.1 * scale), 2 * np.pi * orientation / 40
    right = ((left + samples[None, None, :]) / size - centre_x) / half_width
    down = ((top + samples[None, :, None]) / size - centre_y) / half_width
    along, across = np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right
    inside = np.empty(along.shape, bool)
    for number, test in enumerate((_square, _ellipse, _heart)):
        chosen = shape[:, 0, 0] == number
        inside[chosen] = test(along[chosen], across[chosen])
    share = inside.reshape(len(values), pixels, _SAMPLES, pixels, _SAMPLES).mean(axis=(2, 4))
    x = np.zeros((len(values), size, size, 1), np.uint8)
    lines, columns = top + np.arange(pixels)[None, :, None], left + np.arange(pixels)[None, None, :]
    x[np.arange(len(values))[:, None, None], lines, columns, 0] = share > 0.5
    return x


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v)) <= 0.8


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return u**2 + (v / 0.5) ** 2 <= 1


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a, b = 1.25 * u, 0.15 - 1.25 * v
    return (a**2 + b**2 - 1) ** 3 - a**2 * b**3 <= 0
