"""Arrays in `.npz` and `.npy` files. Pickled objects are never loaded."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from genjax_models.data import image
from genjax_models.data.dataset import Dataset, Range, check, from_splits
from genjax_models.data.kinds import Kind
from genjax_models.data.labels import numbered
from genjax_models.data.scales import refuse_scales
from genjax_models.data.splits import Split, hold_out_tenth, refuse_overlap, split_in_ten
from genjax_models.data.values import range_of, rounding_note
from genjax_models.errors import InputError

_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
_ALIASES = {"images": "x", "labels": "y", "label": "y"}
_TABLES = ".txt", ".dat"
_SPLITS = "train", "validation", "test"
_KEYS = "x_train", "x_validation", "x_test"
_DEVIATIONS = {
    "sd",
    "sd_train",
    "sd_validation",
    "sd_test",
}  # beside codes (`commands.encode`), and no part of the data
_FIELDS = "x", "y", "length", "factors"
_LAYOUTS = (
    "x [and y, length, factors]; or x_train, x_test [and y_train, x_validation, length_train, factors_train, ...]"
)


def load_file(
    path: Path, *, range: Range | None = None, kind: Kind | None = None, keys: Mapping[str, str] | None = None
) -> Dataset:
    """Returns a data set from one file: `.npy` holds x only; `.npz` holds x, and optional y, length and factors.

    `y` are labels, and `length` the true number of steps of each sequence: x with lengths are sequences.

    With keys `x` (or `images`) and `y` (or `labels`) one fixed shuffle makes splits of 80, 10 and 10 percent; copies of
    one example stay in one split. With `x_train`, `x_test` the splits are the file's own; a missing validation split is
    a tenth of training.

    Args:
      path: the file.
      range: lowest and highest stored value.
      kind: images, vectors or sequences (see `data.kinds`).
      keys: other names of the keys in the file, as in {"x": "pixels", "y": "digit"}. Other arrays are then ignored.

    Raises:
      InputError: the file has another format, is truncated, has other keys, holds pickled objects or data that
        contradict `range`, has splits of several types or on several scales, or has held-out examples that are
        training examples too.
    """
    arrays = read_arrays(path)
    names = sorted(arrays)
    plain = {key: array for key, array in arrays.items() if key not in _DEVIATIONS}
    aliases = {_ALIASES.get(key, key): array for key, array in plain.items()}
    arrays = _renamed(path, arrays, keys) if keys else aliases
    allowed = set(_FIELDS) if "x" in arrays else {f"{k}_{s}" for k in _FIELDS for s in _SPLITS}
    needed = {"x"} if "x" in arrays else {"x_train", "x_test"}
    if not needed <= set(arrays) <= allowed or len(arrays) < len(keys or plain):
        raise InputError(f"{path}: the keys must be {_LAYOUTS}; got {names}. {_rename(names)}")
    for key in sorted(set(arrays) - {"x", *_KEYS}):
        _same_length(path, key, arrays)
    arrays, class_names = _numbered(arrays)
    stored = {key: arrays[key] for key in ("x", *_KEYS) if key in arrays}
    range = range_of(str(path), next(iter(stored.values())), range)  # of the types in the file: bool becomes uint8
    refuse_scales(str(path), stored)
    checked = {}
    for key in sorted(allowed & set(arrays)):  # before the shuffle, so that errors name rows of the file
        if key.startswith("x"):
            end = key[1:]
            part = Split(arrays[key], *(arrays.get(f"{field}{end}") for field in _FIELDS[1:]))
            checked[key] = check(f"{path}, {key}", part, range, kind)
    splits, note = split_in_ten(str(path), checked["x"]) if "x" in checked else _given(path, checked)
    left_out = f"; {len(names) - len(arrays)} other arrays ignored" if len(arrays) < len(names) else ""
    provenance = f"the file {path}{left_out}{rounding_note(stored, range)}{note}"
    return from_splits(*splits, name=path.name, range=range, class_names=class_names, kind=kind, provenance=provenance)


def _numbered(arrays: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """Returns the arrays with labels as numbers, and the names of the classes if the labels of all splits are texts."""
    labels = {key: array for key, array in arrays.items() if key.startswith("y")}
    if not labels or any(array.dtype.kind != "U" or array.ndim != 1 for array in labels.values()):
        return arrays, None
    numbers, names = numbered(np.concatenate(list(labels.values())))
    ends = np.cumsum([len(array) for array in labels.values()])[:-1]
    return arrays | dict(zip(labels, np.split(numbers, ends), strict=True)), names


def _renamed(path: Path, arrays: dict[str, np.ndarray], keys: Mapping[str, str]) -> dict[str, np.ndarray]:
    roles = set(_FIELDS) | {f"{k}_{split}" for k in _FIELDS for split in _SPLITS}
    if not isinstance(keys, Mapping) or not set(keys) <= roles:
        raise InputError(f"{path}: `keys` must be like {{'x': 'pixels', 'y': 'digit'}}, with {_LAYOUTS}; got {keys!r}")
    absent = [key for key in keys.values() if key not in arrays]
    if absent:
        raise InputError(f"{path}: `keys` must name arrays of the file, got {absent[0]!r}; it has {sorted(arrays)}")
    return {key: arrays[stored] for key, stored in keys.items()}


def _given(path: Path, checked: dict[str, Split]) -> tuple[list[Split], str]:
    keys = [key for key in _KEYS if key in checked]
    refuse_overlap(str(path), {key: checked[key].x for key in keys})
    if "x_validation" in checked:
        return [checked[key] for key in keys], ""
    splits, note = hold_out_tenth(str(path), checked["x_train"])
    return [*splits, checked["x_test"]], note


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.npz` by name, or the array of a `.npy` as "x".

    Raises:
      InputError: the file has another format, is damaged, or holds pickled objects.
    """
    suffix = path.suffix.lower()
    if suffix not in _MAGIC:
        raise InputError(f"{path}: a data file must end in .npz, .npy, .csv, .tsv or .parquet. {_convert(path)}")
    with path.open("rb") as file:
        start = file.read(len(_MAGIC[suffix]))
        if start != _MAGIC[suffix]:
            raise InputError(f"{path}: is truncated, or not a {suffix} file (its first bytes are {start!r})")
        file.seek(0)
        try:
            loaded = np.load(file, allow_pickle=False)
            return {"x": loaded} if suffix == ".npy" else {key: loaded[key] for key in loaded.files}
        except Exception as error:  # numpy, zipfile and ast raise a dozen kinds of errors on damaged bytes
            if "allow_pickle=False" in str(error):
                raise InputError(
                    f"{path}: holds pickled objects, which are never loaded, because they can run any code"
                ) from error
            raise InputError(f"{path}: is truncated or damaged ({type(error).__name__}: {error})") from error


def names_in(path: Path) -> list[str]:
    """Returns the names of the arrays in a `.npz`; none if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


def _rename(names: list[str]) -> str:
    x, y = [*names, "...", "..."][:2]
    return f"Name them: keys={{'x': {x!r}, 'y': {y!r}}} (--data-keys x={x} y={y})"


def _convert(path: Path) -> str:
    to = f"{path.stem}.npz"
    give = f"and give that file, load({to!r}) (--data {to})"
    if (suffix := path.suffix.lower()) in _TABLES:
        read = f"numpy.loadtxt({path.name!r})"
        return f"Convert a table of numbers: numpy.savez({to!r}, x={read}) (skiprows=1 leaves out a header), {give}"
    if suffix in image.SUFFIXES:
        return "Images need a folder: name the folder that holds the file"
    return f"Convert its arrays: numpy.savez({to!r}, x=..., y=...), {give}"


def _same_length(path: Path, key: str, arrays) -> None:
    of_x = "_".join(["x", *key.split("_")[1:]])
    shape = np.shape(arrays.get(of_x))
    if not shape or shape[:1] != np.shape(arrays[key])[:1]:
        raise InputError(f"{path}: {key} has shape {np.shape(arrays[key])}, but {of_x} has {shape}")
