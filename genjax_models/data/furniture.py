"""The seats of Debian's package sweethome3d-furniture, rendered from known azimuths and elevations."""

import hashlib
import re
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genjax_models.data.chairs import FACTORS, grouped, view
from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.drawn import drawn_once
from genjax_models.data.image import require_pillow
from genjax_models.data.image_decoding import in_parallel
from genjax_models.data.meshes import Mesh, centred, render
from genjax_models.data.obj_files import parsed
from genjax_models.data.splits import Split
from genjax_models.errors import InputError

DEBIAN = Path("/usr/share/sweethome3d/furniture")
AZIMUTHS = np.arange(31) * 360 / 31
ELEVATIONS = np.array([20.0, 30.0])
_SEAT = re.compile("chair|seat|stool|sofa", re.IGNORECASE)
_CATALOGUE = "PluginFurnitureCatalog.properties"
_PROPERTY = re.compile(r"\s*(\w+)#(\d+)\s*=\s*(.*)")
_LARGEST = 2**28  # bytes of a file in a library


class Piece(NamedTuple):
    """A piece of furniture of a library: a zip file of a catalogue and of models.

    Attributes:
      library: the file of the library.
      key: identifier, which holds the library's name too, because names repeat.
      name: name in English.
      category: as in "Living room".
      creator: who made the model.
      licence: licence of the library.
      model: path of the OBJ file in the library.
      rotation: matrix by which the model is turned upright, `[3, 3]`.
    """

    library: Path
    key: str
    name: str
    category: str
    creator: str
    licence: str
    model: str
    rotation: np.ndarray


def furniture(folder: str | Path = DEBIAN, size: int = 64) -> Dataset:
    """Returns renders of all seats of the libraries in `folder`, uint8 `[size, size, 4]`, straight colour and alpha.

    Debian's libraries have 85 seats, each seen from 31 azimuths and 2 elevations. Labels, factors and splits are as in
    `data.chairs`: validation is every fifth azimuth, test is elevation 30 of every fourth seat. Images are rendered
    once, all 5,270 in 68 s of processor time, and kept in the cache (2 cores of an AMD EPYC with AVX-512, 2026-11-29).

    Raises:
      InputError: the folder has no libraries (the error names Debian's package) or no seats; or a library is damaged.
    """
    libraries = _libraries(Path(folder).expanduser())
    pieces = seats(libraries)
    if not pieces:
        raise InputError(f"furniture: {folder} has no seats in its {len(libraries)} libraries")
    require_pillow()  # for textures
    style, elevation, azimuth = (a.ravel() for a in np.indices((len(pieces), len(ELEVATIONS), len(AZIMUTHS))))
    x = drawn_once(_rule(libraries, size), lambda: _each(pieces, size))
    split = Split(x, style, factors=view(AZIMUTHS[azimuth], ELEVATIONS[elevation]))
    return from_splits(
        *grouped(split, azimuth, ELEVATIONS[elevation]),
        name="furniture",
        class_names=_names(pieces),
        factors=FACTORS,
        provenance=_provenance(pieces),
        overlap="report",  # a round stool looks the same from several azimuths
    )


def seats(libraries: list[Path]) -> list[Piece]:
    """Returns the chairs, stools and sofas of the libraries; "Seat Leon" is a car.

    Raises:
      InputError: a library is damaged. The error names it.
    """
    pieces = [piece for library in libraries for piece in _pieces(library)]
    return [piece for piece in pieces if _SEAT.search(piece.name) and piece.category != "Vehicles"]


def mesh(piece: Piece) -> Mesh:
    """Returns the triangles of a piece, upright, in a box of diagonal 1 around the origin.

    Raises:
      InputError: the library is damaged, or the model has no triangles. The error names it.
    """
    with _opened(piece.library) as archive:

        def read(name: str) -> bytes | None:
            name = name.lstrip("/")
            return _read(archive, name) if name in archive.namelist() else None

        try:
            return centred(parsed(piece.model, read), piece.rotation)
        except InputError as error:
            raise InputError(f"{piece.library}: {error}") from error


def _each(pieces: list[Piece], size: int) -> Iterator[np.ndarray]:
    views = [(azimuth, elevation) for elevation in ELEVATIONS for azimuth in AZIMUTHS]
    for of_piece in in_parallel(lambda piece: _renders(piece, views, size), pieces, "rendering"):
        yield from of_piece


def _renders(piece: Piece, views: list[tuple[float, float]], size: int) -> list[np.ndarray]:
    one = mesh(piece)
    return [render(one, azimuth, elevation, size) for azimuth, elevation in views]


def _libraries(folder: Path) -> list[Path]:
    libraries = sorted(folder.glob("*.sh3f")) if folder.is_dir() else []
    if not libraries:
        raise InputError(
            f"furniture: {folder} has no libraries of furniture (*.sh3f). Install Debian's:"
            f" apt-get install sweethome3d-furniture, and load('furniture:{DEBIAN}')"
        )
    return libraries


def _rule(libraries: list[Path], size: int) -> str:
    digests = []
    for library in libraries:
        try:
            with library.open("rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise InputError(f"furniture: {library} cannot be read ({error.strerror})") from error
    return f"furniture 1 {size} {digests}"


def _pieces(library: Path) -> list[Piece]:
    """Returns the pieces of a library, in the order of its catalogue."""
    with _opened(library) as archive:
        lines = _read(archive, _CATALOGUE).decode("latin-1").splitlines()
    numbered: dict[int, dict[str, str]] = defaultdict(dict)
    for line in lines:
        if match := _PROPERTY.fullmatch(line.rstrip()):
            numbered[int(match[2])][match[1]] = match[3]
    licence = next((line.partition("=")[2].strip() for line in lines if line.startswith("license=")), "unknown licence")
    of_library = {"library": library, "licence": re.sub(r"\s+", " ", licence)}
    return [_piece(number, one, of_library) for number, one in sorted(numbered.items()) if "model" in one]


def _piece(number: int, properties: dict[str, str], of_library: dict) -> Piece:
    library, rotation = of_library["library"], properties.get("modelRotation", "1 0 0 0 1 0 0 0 1")
    try:
        matrix = np.array([float(value) for value in rotation.split()]).reshape(3, 3)
    except ValueError as error:
        raise InputError(f"{library}: modelRotation#{number} must be 9 numbers, got {rotation!r}") from error
    return Piece(
        **of_library,
        key=properties.get("id", f"{library.stem}#{number}"),
        name=properties.get("name", "no name"),
        category=properties.get("category", ""),
        creator=properties.get("creator", "unknown maker"),
        model=properties["model"],
        rotation=matrix,
    )


def _names(pieces: list[Piece]) -> list[str]:
    """Returns name and maker of each piece, with a number where they repeat."""
    counts: Counter[str] = Counter()
    names = []
    for piece in pieces:
        name = f"{piece.name} ({piece.creator})"
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name} {counts[name]}")
    return names


def _provenance(pieces: list[Piece]) -> str:
    makers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for piece in pieces:
        makers[piece.library.stem, piece.licence].add(piece.creator)
    credits = [f"{library} ({licence}) by {', '.join(sorted(of))}" for (library, licence), of in makers.items()]
    return f"{len(pieces)} seats of Sweet Home 3D, rendered by data.meshes; models of {'; '.join(credits)}"


def _opened(library: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(library)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{library}: cannot be read as a library of furniture ({error})") from error


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Returns the content of a file of a library."""
    try:
        if (size := archive.getinfo(name).file_size) > _LARGEST:
            raise InputError(f"{archive.filename}: {name} must have at most {_LARGEST} bytes, got {size}")
        return archive.read(name)
    except (KeyError, OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{archive.filename}: {name} is missing or damaged ({error})") from error
