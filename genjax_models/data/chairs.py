"""Twenty chairs, rendered from 31 azimuths and 2 elevations: with style and view given, a generator is easily learned.

Section 20.10.2 of the Deep Learning book; Dosovitskiy et al., 2015, used 809 chairs.
"""

import hashlib
from importlib import resources
from typing import NamedTuple

import numpy as np

from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.factors import Factor
from genjax_models.data.splits import Split
from genjax_models.errors import InputError

_DIGEST = "5299b026946a21f44286084f59515d8a3f6cbcad56ad2df0885e100fe8f0c1c2"
_STORED = 64  # side in pixels
FACTORS = (
    Factor("sin azimuth", None, (-1.0, 1.0)),
    Factor("cos azimuth", None, (-1.0, 1.0)),
    Factor("sin elevation", None, (float(np.sin(np.deg2rad(20))), 0.5)),
    Factor("cos elevation", None, (float(np.cos(np.deg2rad(30))), float(np.cos(np.deg2rad(20))))),
)


class Views(NamedTuple):
    """All renders, in three groups that share none.

    Attributes:
      train: 875 renders of `chairs`.
      interpolation: 210 renders: of the others, every fifth azimuth (numbers 2, 7, ..., 27 of 0 to 30). Training has
        both neighbours of each.
      transfer: 155 renders: elevation 30 of every fourth style (0, 4, ..., 16), seen of other styles only.
    """

    train: Split
    interpolation: Split
    transfer: Split


def chairs(size: int = _STORED) -> Dataset:
    """Returns 20 chairs, uint8 `[size, size, 4]`: straight red, green, blue and alpha; white where alpha is 0.

    The label is the chair (style), and the factors are `FACTORS` (see `view`). Validation is the group interpolation
    and test is the group transfer of `views`.

    Raises:
      InputError: the file of the package is damaged, or `size` does not divide 64.
    """
    arrays, groups = _stored(), views(size)
    provenance = (
        "20 chairs (CC0) of the library BlendSwap-CC-0 of Debian's sweethome3d-furniture, rendered by data.meshes;"
        " validation: every fifth azimuth; test: elevation 30 of every fourth chair"
    )
    names = [str(name) for name in arrays["style"]]
    return from_splits(*groups, name="chairs", class_names=names, factors=FACTORS, provenance=provenance)


def views(size: int = _STORED) -> Views:
    """Returns the renders of `chairs` in their groups: training, interpolation and transfer. The errors are the same.

    Rows are in the order of style, elevation and azimuth.
    """
    if size not in (8, 16, 32, _STORED):
        raise InputError(f"chairs: the side of images must be 8, 16, 32 or 64 pixels, got {size!r}")
    arrays = _stored()
    style, elevation, azimuth = (a.ravel() for a in np.indices(arrays["x"].shape[:3]))
    x = averaged(arrays["x"].reshape(-1, *arrays["x"].shape[3:]), _STORED // size)
    split = Split(x, style, factors=view(arrays["azimuth"][azimuth], arrays["elevation"][elevation]))
    return grouped(split, azimuth, arrays["elevation"][elevation])


def grouped(split: Split, azimuth: np.ndarray, elevation: np.ndarray) -> Views:
    """Returns the groups of renders, whose labels are styles.

    Args:
      split: all renders.
      azimuth: number of each azimuth, `[n]`.
      elevation: degrees, `[n]`.
    """
    transfer = (elevation == 30) & (np.asarray(split.label) % 4 == 0)
    interpolation = ~transfer & (azimuth % 5 == 2)
    return Views(*(split.take(np.flatnonzero(rows)) for rows in (~transfer & ~interpolation, interpolation, transfer)))


def view(azimuth: np.ndarray | float, elevation: np.ndarray | float) -> np.ndarray:
    """Returns sin and cos of the azimuth, and sin and cos of the elevation, float32 `[..., 4]`, of angles in degrees.

    Azimuth 0 is the front, and grows as the camera moves to the chair's left side.
    """
    angles = np.deg2rad(np.broadcast_arrays(azimuth, elevation))
    of_each = [function(angle) for angle in angles for function in (np.sin, np.cos)]
    return np.stack(of_each, axis=-1).astype(np.float32)


def averaged(x: np.ndarray, by: int) -> np.ndarray:
    """Returns images of straight colour and alpha, uint8 `[n, h, w, 4]`, averaged over squares of `by` x `by` pixels.

    Colours are weighted by alpha. Where alpha becomes 0, the colour is white.
    """
    if by == 1:
        return x
    colour, weight = np.zeros(1, np.float32), np.zeros(1, np.float32)
    for i, j in np.ndindex(by, by):
        part = x[:, i::by, j::by].astype(np.float32)
        colour, weight = colour + part[..., :3] * part[..., 3:], weight + part[..., 3:]
    mean = colour / np.maximum(weight, 1)
    mean_alpha = np.rint(weight / by**2)
    return np.concatenate([np.where(mean_alpha > 0, np.rint(mean), 255), mean_alpha], axis=-1).astype(np.uint8)


def _stored() -> dict[str, np.ndarray]:
    file = resources.files("genjax_models.data") / "files" / "chairs64.npz"
    if hashlib.sha256(file.read_bytes()).hexdigest() != _DIGEST:
        raise InputError(f"{file}: is damaged (its sha256 is not {_DIGEST[:12]}...). Install the package again")
    with resources.as_file(file) as path, np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
