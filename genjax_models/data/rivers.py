"""Cartoon rivers from the air, drawn by a script from known factors (Section 1.3.4 of the draft chapter).

The script is a pure function of its inputs. A river starts at the lower edge and makes 14 steps; before each step it
turns by 10 degrees to the left or to the right. Meadow, sand, water and trees are painted over each other.
"""

from collections.abc import Iterator

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.drawn import drawn_once, side
from genjax_models.data.factors import Factor, Source, checked_rows
from genjax_models.data.splits import Split

SIZES = (8_000, 1_000, 1_000)
SIZE = 64
TURNS, TREES = 14, 12
FACTORS = (
    Factor("grass", None, (0.0, 1.0)),  # dry yellow to deep green
    Factor("water", None, (0.0, 1.0)),  # dark blue to turquoise
    Factor("heading", None, (-0.6, 0.6)),  # radians; 0 is up, positive is to the right
    Factor("start", None, (0.3, 0.7)),  # where the river meets the lower edge, in widths of the image
    Factor("width", None, (0.08, 0.18)),  # of the river, in widths of the image
    Factor("trees", TREES + 1, (0.0, TREES)),  # number of places for trees; no tree stands in the river
    Factor("bend", None, (-1.0, 1.0), derived=True),  # mean of the turns
)
COURSES = ("bends to the left", "goes straight on", "bends to the right")
_TURNS = tuple(Factor(f"turn {i}", 2, (0.0, 1.0)) for i in range(TURNS))  # 0 is to the left, 1 to the right
_PLACES = tuple(
    Factor(f"{name} of tree {i}", None, (0.025, 0.05) if name == "radius" else (0.0, 1.0))
    for i in range(TREES)
    for name in ("x", "y", "radius")
)
_COLUMNS = 6 + TURNS + 3 * TREES  # of the script's inputs
_TURN = np.deg2rad(10.0)
_STEP = 1.55 / TURNS  # in heights of the image
_CHUNK = 50  # images that are drawn at once
_WINDOW = 0.085  # half the side of the window in which a tree is drawn, in widths of the image

_DRY, _GREEN = np.array([[0.80, 0.72, 0.30], [0.12, 0.46, 0.16]], np.float32)
_DARK, _TURQUOISE = np.array([[0.10, 0.22, 0.52], [0.25, 0.68, 0.80]], np.float32)
_SAND, _GLITTER = np.array([[0.86, 0.78, 0.58], [0.85, 0.95, 1.0]], np.float32)
_SHADOW, _CROWN, _LIGHT = np.array([[0.10, 0.16, 0.08], [0.06, 0.32, 0.14], [0.24, 0.54, 0.24]], np.float32)


def rivers(size: int = SIZE) -> Dataset:
    """Returns 8,000 training, 1,000 validation and 1,000 test images, uint8 `[size, size, 3]`, with `FACTORS`.

    They are the first 10,000 rows of `source(size)` with RandomState(0). Images are drawn once, and kept in the cache.
    The label is the river's course, one of `COURSES`. A bend has 4 turns more to its side than to the other, or more.
    1,000 images of 64 x 64 take 0.4 to 0.6 s of processor time (AMD EPYC with AVX-512, 2026-11-29).
    """
    script = source(size)
    factors = script.sample(np.random.RandomState(0), sum(SIZES))
    x = drawn_once(f"rivers 1 {size} {SIZES}", lambda: _each(script, factors))
    ends = np.cumsum(SIZES)
    parts = [slice(end - n, end) for n, end in zip(SIZES, ends, strict=True)]
    label = _label(factors[:, len(FACTORS) - 1])
    splits = [Split(x[part], label[part], factors=factors[part, : len(FACTORS)]) for part in parts]
    provenance = "cartoon rivers, drawn by data.rivers from factors of RandomState(0)"
    return from_splits(*splits, name="rivers", factors=FACTORS, class_names=COURSES, provenance=provenance)


def _label(bend: np.ndarray) -> np.ndarray:
    """Returns the class of each river, whose bend is a multiple of 2 / 14."""
    return 1 + (bend > 3 / TURNS).astype(np.int32) - (bend < -3 / TURNS)


def source(size: int = SIZE) -> Source:
    """Returns the script as a source of images, uint8 `[n, size, size, 3]`.

    The columns are `FACTORS`, then 14 turns, then x, y and radius of 12 places for trees. `draw` does not read the
    derived column, bend. Row i of a sample does not depend on n.

    Raises:
      InputError: `size` is not between 8 and 512.
    """
    size = side("rivers", size)
    return Source((*FACTORS, *_TURNS, *_PLACES), _sample, lambda factors: _draw(factors, size))


def _each(script: Source, factors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(factors), _CHUNK):
        yield from script.draw(factors[start : start + _CHUNK])


def _sample(generator: np.random.RandomState, n: int) -> np.ndarray:
    u = generator.uniform(size=(n, _COLUMNS))
    turns, places = u[:, 5 : 5 + TURNS] >= 0.5, u[:, 6 + TURNS :].reshape(n, TREES, 3)
    columns = [
        u[:, :2],
        1.2 * u[:, 2:3] - 0.6,
        0.3 + 0.4 * u[:, 3:4],
        0.08 + 0.1 * u[:, 4:5],
        np.floor(u[:, 5 + TURNS : 6 + TURNS] * (TREES + 1)),
        (2 * turns.sum(axis=1, keepdims=True) - TURNS) / TURNS,
        turns,
        (places * (1, 1, 0.025) + (0, 0, 0.025)).reshape(n, -1),
    ]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _draw(factors: np.ndarray, size: int) -> np.ndarray:
    factors = checked_rows("rivers", (*FACTORS, *_TURNS, *_PLACES), factors)
    parts = [_painted(factors[i : i + _CHUNK], size) for i in range(0, len(factors), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, size, size, 3), np.uint8)


def _painted(factors: np.ndarray, size: int) -> np.ndarray:
    """Paints meadow, sand, water, glitter and trees over each other; edges are soft over 1.3 pixels."""
    grass, water, heading, start, width, trees = factors[:, :6].T
    turns, places = factors[:, 7 : 7 + TURNS], factors[:, 7 + TURNS :].reshape(-1, TREES, 3)
    course, soft = _course(heading, start, turns), np.float32(1.3 / size)
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(centres, 1 - centres)
    depth = _distance(course, np.stack([x.ravel(), y.ravel()], axis=-1)[None]).reshape(-1, size, size)
    depth -= width[:, None, None] / 2  # below 0 in the river
    image = _mixed(_DRY, _GREEN, grass) * (1 + np.float32(0.04) * np.sin(9 * x + 5 * y))[None, ..., None]
    _paint(image, _SAND, _cover(depth - np.float32(0.022), soft))
    _paint(image, _mixed(_DARK, _TURQUOISE, water), _cover(depth, soft))
    _paint(image, _GLITTER, _cover(depth + np.float32(0.35) * width[:, None, None], 3 * soft), 0.25)
    on_land = _distance(course, places[..., :2]) - width[:, None] / 2 > places[..., 2] + np.float32(0.01)
    reach = int(np.ceil(_WINDOW * size))
    for row, tree in np.argwhere((np.arange(TREES) < trees[:, None]) & on_land):
        left, top, r = places[row, tree]
        column, line = int(left * size), int((1 - top) * size)
        window = np.s_[max(0, line - reach) : line + reach + 1, max(0, column - reach) : column + reach + 1]
        right, up = x[window] - left, y[window] - top
        disc = lambda along, radius, right=right, up=up: _cover(np.hypot(right - along, up + along) - radius, soft)
        _paint(image[row][window], _SHADOW, disc(np.float32(0.4) * r, r), 0.45)
        _paint(image[row][window], _CROWN, disc(np.float32(0), r))
        _paint(image[row][window], _LIGHT, disc(np.float32(-0.3) * r, np.float32(0.45) * r), 0.8)
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)


def _course(heading: np.ndarray, start: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Returns the corners of the river's course, `[n, 15, 2]`: x to the right, y upwards, from below the lower edge."""
    angle = heading[:, None] + _TURN * np.cumsum(2 * turns.astype(np.float64) - 1, axis=1)
    moves = _STEP * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    first = np.stack([start - 0.15 * np.sin(heading), -0.15 * np.cos(heading)], axis=-1)[:, None]
    return np.concatenate([first, first + np.cumsum(moves, axis=1)], axis=1).astype(np.float32)


def _distance(course: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns the distance of each point from the course, `[n, m]`, for points `[n, m, 2]` or `[1, m, 2]`."""
    nearest = np.full((len(course), points.shape[1]), np.inf, np.float32)  # squared
    for i in range(course.shape[1] - 1):
        corner, side = course[:, None, i], course[:, None, i + 1] - course[:, None, i]
        right, up = points[..., 0] - corner[..., 0], points[..., 1] - corner[..., 1]
        along = right * side[..., 0]
        along += up * side[..., 1]
        along /= (side**2).sum(axis=-1)
        along.clip(0, 1, out=along)
        right -= along * side[..., 0]
        up -= along * side[..., 1]
        right *= right
        up *= up
        right += up
        np.minimum(nearest, right, out=nearest)
    return np.sqrt(nearest)


def _mixed(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * share[:, None, None, None]


def _cover(depth: np.ndarray, soft: np.float32) -> np.ndarray:
    """Returns the share of a pixel that is inside: 1 below -soft / 2, 0 above soft / 2, linear in between."""
    return (np.float32(0.5) - depth / soft).clip(0, 1)


def _paint(image: np.ndarray, colour: np.ndarray, cover: np.ndarray, opacity: float = 1.0) -> None:
    image += (colour - image) * (np.float32(opacity) * cover)[..., None]
