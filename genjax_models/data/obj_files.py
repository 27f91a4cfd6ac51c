"""Wavefront OBJ and MTL files -> triangles. They are read as latin-1, as the libraries of Sweet Home 3D are."""

import io
import posixpath
from collections.abc import Callable
from pathlib import Path

import numpy as np

from genjax_models.data import image
from genjax_models.data.meshes import Mesh, mesh_of
from genjax_models.errors import InputError

_GREY = (0.7, 0.7, 0.7)
_TRANSPARENT = 0.05  # opacity up to which a material is not drawn

Read = Callable[[str], bytes | None]  # path -> content; None if there is no such file


def load_obj(path: str | Path, *, materials: bool = True) -> Mesh:
    """Returns the triangles of an OBJ file.

    Polygons become fans of triangles. Colours are the diffuse colours of the materials, or the mean of their textures.
    Triangles without an area, and of materials without opacity, are left out. Without `materials` all is grey.

    Raises:
      InputError: the file or its MTL file is missing, a line cannot be read, or no triangle is left. The error names
        file and line.
    """
    path = Path(path)

    def read(name: str) -> bytes | None:
        try:
            return Path(name).read_bytes()
        except OSError:
            return None

    return parsed(str(path), read, materials=materials)


def parsed(name: str, read: Read, *, materials: bool = True) -> Mesh:
    """Returns the triangles of the OBJ file `name`; `read` returns the content of it and of the files that it names.

    Raises:
      InputError: see `load_obj`.
    """
    content = read(name)
    if content is None:
        raise InputError(f"{name}: no such OBJ file")
    library: dict[str, tuple[tuple[float, ...], float]] = {}
    points, directions, faces, of_face, material = [], [], [], [], ""
    for number, line in enumerate(_lines(content), 1):
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        try:
            if word == "v":
                points.append(_triple(rest))
            elif word == "vn":
                directions.append(_triple(rest))
            elif word == "usemtl":
                material = rest
            elif word == "mtllib" and materials:
                library |= _library(name, rest, read)
            elif word == "f":
                corners = [_corner(text, len(points), len(directions)) for text in rest.split()]
                fans = [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
                faces += fans
                of_face += [material] * len(fans)
        except (ValueError, IndexError) as error:
            raise InputError(f"{name}: line {number} cannot be read: {line.strip()[:60]!r} ({error})") from error
    if not faces:
        raise InputError(f"{name}: has no faces, which are lines that begin with 'f'")
    return _mesh(name, points, directions, np.array(faces), [library.get(one, (_GREY, 1.0)) for one in of_face])


def _lines(content: bytes) -> list[str]:
    return content.decode("latin-1").replace("\t", " ").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _mesh(name: str, points: list, directions: list, faces: np.ndarray, materials: list) -> Mesh:
    """Returns the mesh of `faces` `[n, 3, 2]`: numbers of points, and of normals or -1."""
    opaque = np.array([opacity > _TRANSPARENT for _, opacity in materials])
    if not opaque.any():
        raise InputError(f"{name}: all of its {len(faces)} triangles are transparent")
    faces, colours = faces[opaque], np.array([colour for colour, _ in materials])[opaque]
    normals = np.vstack([np.array(directions, float).reshape(-1, 3), np.full((1, 3), np.nan)])[faces[..., 1]]
    return mesh_of(name, np.array(points, float)[faces[..., 0]], normals, colours)


def _corner(text: str, points: int, directions: int) -> tuple[int, int]:
    """Returns the numbers of a point and of a normal, or -1: "7/1/3", "7//3" or "7"; negative ones count backwards."""
    parts = text.split("/")
    normal = _number(parts[2], directions) if len(parts) > 2 and parts[2] else -1
    return _number(parts[0], points), normal


def _triple(text: str) -> tuple[float, ...]:
    first, second, third = (float(value) for value in text.split()[:3])
    return first, second, third


def _number(text: str, count: int) -> int:
    number = int(text)
    index = number - 1 if number > 0 else count + number
    if number == 0 or not 0 <= index < count:
        raise ValueError(f"number {number} of {count}")
    return index


def _library(name: str, library: str, read: Read) -> dict[str, tuple[tuple[float, ...], float]]:
    """Returns colour and opacity of each material of an MTL file."""
    path = posixpath.join(posixpath.dirname(name), library)
    content = read(path)
    if content is None:
        raise InputError(f"{name}: its materials are missing: {path}. Add that file, or use materials=False for grey")
    colours, opacity, current = {}, {}, ""
    for number, line in enumerate(_lines(content), 1):
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        try:
            if word == "newmtl":
                current = rest
                colours.setdefault(current, _GREY)
            elif word == "Kd":
                colours[current] = _triple(rest)
            elif word == "d":
                opacity[current] = float(rest.split()[-1])
            elif word == "map_Kd" and (texture := _texture(path, rest, read)) is not None:
                colours[current] = texture
        except (ValueError, IndexError) as error:
            raise InputError(f"{path}: line {number} cannot be read: {line.strip()[:60]!r} ({error})") from error
    return {one: (colour, opacity.get(one, 1.0)) for one, colour in colours.items()}


def _texture(path: str, texture: str, read: Read) -> tuple[float, ...] | None:
    """Returns the mean colour of a texture; None if the file is missing, so that the diffuse colour stays."""
    content = read(posixpath.join(posixpath.dirname(path), texture))
    if content is None:
        return None
    image.require_pillow()
    try:
        pixels = image.decode_as(io.BytesIO(content), "RGB", max_pixels=image.MAX_PIXELS)
    except (image.UnreadableError, image.TooLargeError) as error:
        raise InputError(f"{path}: the texture {texture} cannot be read ({error})") from error
    return tuple((pixels.mean(axis=(0, 1)) / 255).tolist())
