"""Triangles, and a z-buffer that renders them from a known azimuth and elevation."""

from functools import reduce  # numpy is slow along an axis of three: a render takes 30% less time
from typing import NamedTuple

import numpy as np

from genjax_models.data.drawn import side
from genjax_models.errors import InputError

_LIGHT = np.array([0.3, 0.8, 0.6]) / np.linalg.norm([0.3, 0.8, 0.6])  # to the right, up, towards the camera


class Mesh(NamedTuple):
    """Triangles with normals and colours: x to the right, y upwards, z towards the viewer of azimuth 0.

    Attributes:
      corners: `[n, 3, 3]`: triangle, corner, coordinate.
      normals: normal at each corner, `[n, 3, 3]`.
      colours: red, green and blue of each triangle in [0, 1], `[n, 3]`.
    """

    corners: np.ndarray
    normals: np.ndarray
    colours: np.ndarray


def mesh_of(name: str, corners: np.ndarray, normals: np.ndarray | None, colours: np.ndarray) -> Mesh:
    """Returns the triangles that have an area; without `normals` their faces are flat.

    Args:
      name: begins the errors.
      corners: `[n, 3, 3]`.
      normals: `[n, 3, 3]`; a triangle with NaN among its normals is flat.
      colours: `[n, 3]`.

    Raises:
      InputError: corners are not finite, or no triangle has an area.
    """
    if not np.isfinite(corners).all():
        raise InputError(f"{name}: corners must be finite, got {corners[~np.isfinite(corners)][0]}")
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(flat, axis=1)
    extent = np.ptp(corners.reshape(-1, 3), axis=0).max() if len(corners) else 0.0
    kept = area > 1e-14 * extent**2
    if not kept.any():
        raise InputError(f"{name}: needs triangles with an area, got none among {len(corners)}")
    of_faces = np.repeat((flat[kept] / area[kept, None])[:, None], 3, axis=1)
    if normals is not None:
        known = np.isfinite(normals[kept]).all(axis=(1, 2))
        of_faces[known] = normals[kept][known]
    return Mesh(corners[kept], of_faces, colours[kept])


def centred(mesh: Mesh, rotation: np.ndarray | None = None) -> Mesh:
    """Returns the rotated mesh with its bounding box around the origin; the diagonal of the box is 1."""
    rotation = np.eye(3) if rotation is None else rotation
    corners = mesh.corners @ rotation.T
    low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
    return Mesh((corners - (low + high) / 2) / np.linalg.norm(high - low), mesh.normals @ rotation.T, mesh.colours)


def render(
    mesh: Mesh,
    azimuth: float,
    elevation: float,
    size: int = 64,
    samples: int = 4,
    *,
    distance: float = 2.0,
    field: float = 0.62,
) -> np.ndarray:
    """Returns an image of straight red, green, blue and alpha, uint8 `[size, size, 4]`; white where alpha is 0.

    Args:
      mesh: triangles around the origin.
      azimuth: degrees by which the camera moves around the y axis: 0 looks along -z, 90 along -x.
      elevation: degrees by which the camera rises.
      size: side of the image in pixels.
      samples: samples of a pixel along each axis.
      distance: distance of the camera from the origin.
      field: half the width of the view, at the origin.

    Raises:
      InputError: `size` is not between 8 and 512, or `samples` is not between 1 and 8.
    """
    size = side("render", size)
    if samples not in range(1, 9):
        raise InputError(f"render: samples must be 1 to 8, got {samples}")
    axes = _camera(azimuth, elevation)
    corners, width = mesh.corners @ axes.T, size * samples
    depth = distance - corners[..., 2]
    scale = distance / (2 * field) / depth
    x, y = (0.5 + corners[..., 0] * scale) * width - 0.5, (0.5 - corners[..., 1] * scale) * width - 0.5
    triangle, pixel, weights = _fragments(x, y, width)
    inverse = reduce(np.add, (weights / depth[triangle]).T)  # 1 / depth is linear on the screen
    nearest = np.zeros(width**2)
    np.maximum.at(nearest, pixel, inverse)
    seen = np.full(width**2, -1)
    is_nearest = inverse == nearest[pixel]
    seen[pixel[is_nearest]] = np.flatnonzero(is_nearest)
    pixel = np.flatnonzero(seen >= 0)
    seen = seen[pixel]
    triangle = triangle[seen]
    weights = weights[seen] / depth[triangle] / inverse[seen, None]  # in space, not on the screen
    normal = np.einsum("nc,nci->ni", weights, mesh.normals[triangle] @ axes.T)
    colour, alpha = np.zeros((width**2, 3)), np.zeros((width**2, 1))
    colour[pixel], alpha[pixel] = (mesh.colours[triangle] * _shade(normal)[:, None]).clip(0, 1), 1
    return _averaged(colour, alpha, size, samples)


def _camera(azimuth: float, elevation: float) -> np.ndarray:
    """Returns the axes of the camera as rows: to the right, up, and from the scene to the camera."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    right = np.array([np.cos(a), 0.0, -np.sin(a)])
    return np.stack([right, np.cross(back, right), back])


def _fragments(x: np.ndarray, y: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns triangle `[m]`, pixel `[m]` and barycentric weights `[m, 3]` of each sample inside a triangle.

    `x` and `y` are corners on the screen, `[n, 3]`, in samples.
    """
    low, high = (np.ceil(reduce(np.minimum, a.T)).clip(0).astype(int) for a in (x, y))
    columns, lines = (
        (np.floor(reduce(np.maximum, a.T)).clip(max=width - 1).astype(int) - first + 1).clip(0)
        for a, first in ((x, low), (y, high))
    )
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])
    is_seen = np.abs(area) >= 1e-9  # not from its edge

    def weights_at(triangle: np.ndarray, column: np.ndarray, line: np.ndarray) -> np.ndarray:
        right, below = column - x[triangle, 0], line - y[triangle, 0]
        second = (right * to_third[triangle] - along_third[triangle] * below) / area[triangle]
        third = (along_second[triangle] * below - right * to_second[triangle]) / area[triangle]
        return np.stack([1 - second - third, second, third], axis=1)

    along_second, along_third = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
    to_second, to_third = y[:, 1] - y[:, 0], y[:, 2] - y[:, 0]
    triangle, place = _expanded(np.where(is_seen & (columns > 0), lines, 0))
    line = high[triangle] + place
    start = weights_at(triangle, low[triangle], line)
    slope = np.stack([to_second - to_third, to_third, -to_second], axis=1)[triangle] / area[triangle, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        end = -start / slope  # where each weight is 0 on this line
    first = reduce(np.maximum, np.where(slope > 0, end, 0).T).clip(0, width)
    last = reduce(np.minimum, np.where(slope < 0, end, width).T).clip(-1, columns[triangle] - 1)
    first = np.floor(first).astype(int)
    of_line, place = _expanded((np.ceil(last).astype(int) - first + 1).clip(0))
    triangle, line = triangle[of_line], line[of_line]
    column = low[triangle] + first[of_line] + place
    weights = weights_at(triangle, column, line)
    inside = reduce(np.logical_and, (weights >= 0).T) & (column < width)
    return triangle[inside], (line * width + column)[inside], weights[inside]


def _expanded(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each index i `count[i]` times, and its place 0, 1, ... among these."""
    index = np.repeat(np.arange(len(count)), count)
    return index, np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)


def _shade(normal: np.ndarray) -> np.ndarray:
    """Returns the light of each sample: ambient, from the camera, and from a lamp. Both sides of a face are lit."""
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    normal = normal * np.where(normal[:, 2:] < 0, -1, 1)
    return 0.45 + 0.25 * normal[:, 2] + 0.35 * (normal @ _LIGHT).clip(0)


def _averaged(colour: np.ndarray, alpha: np.ndarray, size: int, samples: int) -> np.ndarray:
    blocks = lambda a: a.reshape(size, samples, size, samples, -1).mean(axis=(1, 3))
    alpha, colour = blocks(alpha), blocks(colour)
    opaque = np.rint(255 * alpha)
    straight = np.where(opaque > 0, colour / np.maximum(alpha, 1e-9), 1)
    return np.concatenate([np.rint(255 * straight), opaque], axis=-1).astype(np.uint8)
