"""Arrays in `.npz` and `.npy` files. Nothing is ever unpickled."""

from pathlib import Path

import numpy as np

from genjax_models.data.dataset import Dataset, Range, Split, check, from_arrays, split_at_random
from genjax_models.errors import InputError

_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
_ALIASES = {"images": "x", "labels": "y", "label": "y"}
_LAYOUTS = "x [and y]; or x_train, x_test [and y_train, y_test, x_validation, y_validation]"


def load_file(path: Path, *, range: Range | None = None) -> Dataset:
    """A data set from one file: `.npy` holds x alone; `.npz` holds x and perhaps labels y.

    With keys `x` (or `images`) and `y` (or `labels`) one fixed shuffle makes splits of 80, 10 and 10 percent. With
    `x_train`, `x_test` the splits are the file's own, and validation, where it is not there, is a tenth of training.

    Raises:
      InputError: another kind of file, truncated, other keys, pickled objects, or data that contradict `range`.
    """
    arrays = _read(path)
    names = sorted(arrays)
    arrays = {_ALIASES.get(key, key): array for key, array in arrays.items()}
    allowed = {"x", "y"} if "x" in arrays else {f"{k}_{s}" for k in "xy" for s in ("train", "validation", "test")}
    needed = {"x"} if "x" in arrays else {"x_train", "x_test"}
    if not needed <= set(arrays) <= allowed or len(arrays) < len(names):
        raise InputError(f"{path}: holds {names}; accepted are the keys {_LAYOUTS}")
    for key in set(arrays) & {"y", "y_train", "y_validation", "y_test"}:
        _same_length(path, key, arrays)
    for key in sorted(allowed & set(arrays)):  # before rows are shuffled, so that an error names the file's own
        if key.startswith("x"):
            check(f"{path}, {key}", arrays[key], arrays.get(f"y{key[1:]}"), range)
    train, validation, test = _whole(path, arrays) if "x" in arrays else _given(path, arrays)
    return from_arrays(train, validation, test, name=path.name, range=range, provenance=f"the file {path}")


def _whole(path: Path, arrays) -> list[Split]:
    x = arrays["x"]
    size = _at_least(path, x, 10)
    return split_at_random(x, arrays.get("y"), (size - 2 * (size // 10), size // 10, size // 10))


def _given(path: Path, arrays) -> list[Split]:
    splits = [Split(arrays.get(f"x_{s}"), arrays.get(f"y_{s}")) for s in ("train", "validation", "test")]
    train, validation, test = splits
    if validation.x is None:
        size = _at_least(path, train.x, 10)
        train, validation = split_at_random(train.x, train.label, (size - size // 10, size // 10))
    return [train, validation, test]


def _read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix not in _MAGIC:
        raise InputError(f"{path}: a data file ends in .npz or .npy")
    with path.open("rb") as file:
        start = file.read(len(_MAGIC[path.suffix]))
        if start != _MAGIC[path.suffix]:
            raise InputError(f"{path}: is truncated or no {path.suffix} file (its first bytes are {start!r})")
        file.seek(0)
        try:
            loaded = np.load(file, allow_pickle=False)
            return {"x": loaded} if path.suffix == ".npy" else {key: loaded[key] for key in loaded.files}
        except Exception as error:  # numpy, zipfile and ast raise a dozen kinds on damaged bytes
            if "allow_pickle=False" in str(error):
                raise InputError(
                    f"{path}: holds pickled objects, which are never loaded, they could run any code"
                ) from error
            raise InputError(f"{path}: is truncated or damaged ({type(error).__name__}: {error})") from error


def _same_length(path: Path, key: str, arrays) -> None:
    x, y = arrays.get(f"x{key[1:]}"), arrays[key]
    if x is None or np.shape(x)[:1] != np.shape(y)[:1]:
        raise InputError(f"{path}: {key} has shape {np.shape(y)}, but x{key[1:]} has {np.shape(x)}")


def _at_least(path: Path, x: np.ndarray, smallest: int) -> int:
    size = len(x) if np.ndim(x) else 0
    if size < smallest:
        raise InputError(f"{path}: {size} examples; at least {smallest} are needed to make splits of them")
    return size
