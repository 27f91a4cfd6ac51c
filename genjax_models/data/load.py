"""`load(name)` finds a data set by name or by path."""

import difflib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from genjax_models.data import (
    bars_and_stripes,
    chairs,
    chorales,
    emoji,
    faces,
    files,
    furniture,
    hugging_face,
    idx,
    image_folder,
    image_layout,
    mnist,
    rivers,
    sprites,
    synthetic,
    tables,
    tfds,
    vowels,
)
from genjax_models.data.dataset import Dataset, Range
from genjax_models.data.factors import Source
from genjax_models.data.kinds import Kind
from genjax_models.errors import InputError

_IMAGES = {
    "mnist10k": mnist.mnist10k,
    "fashion_mnist": mnist.fashion_mnist,
    "bars_and_stripes": bars_and_stripes.bars_and_stripes,
}
_SEQUENCES = {
    "chorales": chorales.chorales,
    "japanese_vowels": vowels.japanese_vowels,
    "mnist10k_rows": mnist.mnist10k_rows,
}
_POINTS = {name: partial(synthetic.synthetic, name) for name in synthetic.SOURCES}
_DRAWN = {  # each takes the size of its images
    "rivers": rivers.rivers,
    "chairs": chairs.chairs,
    "sprites": sprites.sprites,
    "faces": faces.faces,
    "emoji": emoji.emoji,
}
_SOURCES = {"rivers": rivers.source, "sprites": sprites.source, "faces": faces.source}
_NAMES = _IMAGES | _POINTS | _DRAWN | _SEQUENCES
_PUBLIC_NAMES = (
    *("caltech101", "celeb_a", "cifar10", "cifar100", "dsprites", "emnist", "kmnist", "lsun", "mnist", "omniglot"),
    *("oxford_flowers102", "shapes3d", "smallnorb", "stl10", "svhn_cropped"),
)
_PUBLIC = {name.replace("_", ""): name for name in _PUBLIC_NAMES} | {"svhn": "svhn_cropped"}
_ACCEPTED = (
    f"{', '.join(_IMAGES)}, {', '.join(_DRAWN)} (or NAME:SIZE), furniture:DIR, {', '.join(_SEQUENCES)},"
    " a .npz, .npy, .csv or .parquet file, a folder of idx files, a folder of images (images:PATH or PATH),"
    f" tfds:NAME[:SPLIT], hf:PATH[:SPLIT], or points in the plane: {', '.join(_POINTS)}"
)


def load(
    name: str | Path,
    *,
    range: Range | None = None,
    kind: Kind | None = None,
    keys: Mapping[str, str] | None = None,
    images: Mapping[str, Any] | None = None,
    stream: bool = False,
) -> Dataset:
    """Returns a data set of three checked splits; held-out examples are not in training.

    Args:
      name: one of
        "mnist10k": 10,000 digits of MNIST, shipped with the package;
        "fashion_mnist": Fashion-MNIST, installed by Debian's package dataset-fashion-mnist;
        "bars_and_stripes": the 30 binary images of bars and stripes, 4 x 4, each in every split;
        "rivers": cartoon rivers of known factors in three classes (see `data.rivers`), 64 x 64; "rivers:32" is 32 x 32;
        "chairs": 20 chairs from 31 azimuths and 2 elevations (see `data.chairs`), red, green, blue and alpha;
        "sprites": 50,000 binary sprites of five known factors (see `data.sprites`), 64 x 64;
        "faces": renders of one head, rotation x expression, 28 x 20 (see `data.faces`); needs the extra `faces`;
        "emoji": 1,377 emoji in colour, 32 x 32, in nine groups (see `data.emoji`), of two packages of Debian;
        "furniture:DIR": renders of the seats in DIR, by default of Debian's sweethome3d-furniture (`data.furniture`);
        "chorales": Bach's chorales, binary sequences of 88 keys (see `data.chorales`); needs the extra `music`;
        "japanese_vowels": utterances of nine speakers, 12 numbers a step (see `data.vowels`); needs the extra `speech`;
        "mnist10k_rows": the images of mnist10k as sequences of 28 rows;
        "moons", "spiral", "ring8" or "grid25": points in the plane of known density (see `data.synthetic`);
        a path to `.npz` or `.npy` (see `data.files` for the keys);
        a path to a table of vectors, `.csv`, `.tsv` or `.parquet` (see `data.tables`);
        a path to a folder with the four idx files of MNIST's format, gzipped or not;
        a path to a folder of images, or "images:PATH": centre-cropped and resized to 32 x 32, or as `images` says;
        "tfds:NAME" or "tfds:NAME:SPLIT": a data set of TensorFlow Datasets, prepared on this machine (see `data.tfds`);
        "hf:PATH" or "hf:PATH:SPLIT": a data set of Hugging Face on this disk (see `data.hugging_face`).
      range: range of the stored values, for files; by default (0, 255) for uint8, and (0, 1) for bool and floating
        point.
      kind: images, vectors or sequences, for arrays `[n, a, b]` in files, which may be images or sequences.
      keys: names of the arrays in a `.npz`, as in {"x": "pixels", "y": "digit"}; {"y": "species"} is the column of
        labels of a table, and both are columns of "hf:PATH".
      images: arguments of `data.image_folder.load_folder` for a folder of images or "hf:PATH", as in {"size": 64,
        "fit": "resize"}.
      stream: whether training images of a folder, of tfds or of hf stay on disk, if memory is too small. They are
        decoded once into a file of the cache, from which `fit` reads them (`data.records`). The splits are the same.
        A held-out split keeps at most 32 MiB of its examples, drawn at random; the provenance says so.

    Raises:
      InputError: no such data set (the error suggests the nearest name), or data that contradict their declaration.
    """
    if not isinstance(name, str | Path):
        raise InputError(
            f"`name` must be a name or a path, got {type(name).__name__}. Use from_arrays(x, label) for arrays"
        )
    if name == "":  # as of an unset variable of a shell; Path("") would be this folder
        raise InputError(f"data set '': the name is empty; accepted are {_ACCEPTED}")
    name, images = str(name), dict(images or {})
    if stream:
        images["stream"] = True
    prefix, _, rest = name.partition(":")
    of_files = {"kind": kind, "keys": keys or None}
    if prefix == "images" and rest:
        _refuse(name, of_files)
        return image_folder.load_folder(rest, range=range, **images)
    if prefix == "hf" and rest:
        _refuse(name, {"kind": kind})
        return hugging_face.load(rest, keys=keys, range=range, **images)
    is_drawn, is_furniture = prefix in _DRAWN, prefix == "furniture"
    if name in _NAMES or is_drawn or is_furniture or prefix == "tfds":
        if range is not None:
            raise InputError(f"data set {name!r} has its own range, so `range` must be None, got {range}")
        _refuse(name, of_files)
        if prefix == "tfds" and name not in _NAMES:
            _refuse_images(name, {option: value for option, value in images.items() if option != "stream"})
            return tfds.load(rest, stream=stream)
        _refuse_images(name, images)
        if is_furniture:
            return furniture.furniture(rest or furniture.DEBIAN)
        return _DRAWN[prefix](**_size(name, rest)) if is_drawn else _NAMES[name]()
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            _refuse(name, of_files)
            return _folder(path, range, images)
        if path.is_file():
            _refuse_images(name, images)
            return _file(path, range, kind, keys)
    except (OSError, RuntimeError) as error:  # a name too long, a user without a home, no permission
        raise InputError(f"data set {name!r}: cannot be read ({error})") from error
    nearest = difflib.get_close_matches(name.casefold(), _NAMES, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    public = _public_name(name)
    of_public = f". A data set of TensorFlow Datasets is tfds:{public}" if public else ""
    raise InputError(f"no data set {name!r}{hint}; accepted are {_ACCEPTED}{of_public}")


def _public_name(name: str) -> str | None:
    """Returns the public data set that is probably meant, in the spelling of TensorFlow Datasets; None for a path."""
    name = name.casefold().replace("-", "_")
    if not re.fullmatch(r"[a-z0-9_]+", name) or name in _NAMES:
        return None
    nearest = difflib.get_close_matches(name.replace("_", ""), _PUBLIC, n=1, cutoff=0.7)
    return _PUBLIC[nearest[0]] if nearest else name


def load_source(name: str) -> Source:
    """Returns the source of "rivers", "sprites" or "faces", or of "NAME:SIZE": it draws any example from its factors.

    Raises:
      InputError: no such source, or its images cannot have this side.
    """
    prefix, _, size = str(name).partition(":")
    if prefix not in _SOURCES:
        raise InputError(f"no source of examples {name!r}; accepted are {', '.join(_SOURCES)} (or NAME:SIZE)")
    return _SOURCES[prefix](**_size(str(name), size))


def _file(path: Path, range: Range | None, kind: Kind | None, keys: Mapping[str, str] | None) -> Dataset:
    if path.suffix.lower() not in tables.SUFFIXES:
        return files.load_file(path, range=range, kind=kind, keys=keys)
    if kind not in (None, "vectors"):
        raise InputError(f"{path}: the rows of a table are vectors, so `kind` must be None or vectors, got {kind!r}")
    if keys and (not isinstance(keys, Mapping) or set(keys) != {"y"}):
        raise InputError(f"{path}: `keys` of a table must be {{'y': column of labels}}, got {keys!r}")
    return tables.load_table(path, range=range, label=keys["y"] if keys else None)


def _folder(path: Path, range: Range | None, images: Mapping[str, Any]) -> Dataset:
    if idx.holds_idx(path):
        _refuse_images(str(path), images)
        return idx.load_folder(path, range=range)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        raise InputError(f"{str(path)!r}: is a data set of Hugging Face. Use hf:{path}")
    if image_layout.holds_images(path):
        return image_folder.load_folder(path, range=range, **images)
    raise InputError(f"{str(path)!r}: has neither idx files nor images; accepted are {_ACCEPTED}")


def _size(name: str, size: str) -> dict[str, int]:
    """Returns the side that follows the name of data that are drawn, as in "rivers:32"; {} if none does."""
    if ":" in name and not re.fullmatch("[0-9]{1,4}", size):
        raise InputError(f"data set {name!r}: the name may end in a side in pixels, as in 'rivers:32', got {size!r}")
    return {"size": int(size)} if size else {}


def _refuse(name: str, of_files: Mapping[str, Any]) -> None:
    for option, value in of_files.items():
        if value is not None:
            raise InputError(f"data set {name!r} is no file of arrays, so `{option}` must be None, got {value!r}")


def _refuse_images(name: str, images: Mapping[str, Any]) -> None:
    if "stream" in images:
        raise InputError(
            f"data set {name!r} is held in memory; accepted for a stream are folders of images, tfds:NAME, and images"
            " that `save_to_disk` wrote (hf:PATH)"
        )
    if images:
        options = ", ".join(f"{option}={value!r}" for option, value in images.items())
        raise InputError(f"data set {name!r} is not a folder of images, so it takes no {options}")
