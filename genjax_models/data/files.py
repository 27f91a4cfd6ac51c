"""Arrays in `.npz` and `.npy` files. Nothing is ever unpickled."""

from pathlib import Path

import numpy as np

from genjax_models.data.dataset import (
    Dataset,
    Range,
    Split,
    check,
    from_arrays,
    hold_out_tenth,
    refuse_overlap,
    split_in_ten,
)
from genjax_models.errors import InputError

_MAGIC = {".npy": b"\x93NUMPY", ".npz": b"PK"}
_ALIASES = {"images": "x", "labels": "y", "label": "y"}
_LAYOUTS = "x [and y]; or x_train, x_test [and y_train, y_test, x_validation, y_validation]"


def load_file(path: Path, *, range: Range | None = None) -> Dataset:
    """A data set from one file: `.npy` holds x alone; `.npz` holds x and perhaps labels y.

    With keys `x` (or `images`) and `y` (or `labels`) one fixed shuffle makes splits of 80, 10 and 10 percent. With
    `x_train`, `x_test` the splits are the file's own; a missing validation split is a tenth of training. Copies of one
    example stay in one split if the splits are made here, and are refused if the file puts them in several splits.

    Raises:
      InputError: another kind of file, truncated, other keys, pickled objects, data that contradict `range`, or
        held-out examples that are training examples too.
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
    checked = {}
    for key in sorted(allowed & set(arrays)):  # before rows are shuffled, so that an error names the file's own
        if key.startswith("x"):
            checked[key] = check(f"{path}, {key}", Split(arrays[key], arrays.get(f"y{key[1:]}")), range)
    splits, note = split_in_ten(str(path), checked["x"]) if "x" in checked else _given(path, checked)
    return from_arrays(*splits, name=path.name, range=range, provenance=f"the file {path}{note}")


def _given(path: Path, checked: dict[str, Split]) -> tuple[list[Split], str]:
    keys = [key for key in ("x_train", "x_validation", "x_test") if key in checked]
    refuse_overlap(str(path), {key: checked[key].x for key in keys})
    if "x_validation" in checked:
        return [checked[key] for key in keys], ""
    splits, note = hold_out_tenth(str(path), checked["x_train"])
    return [*splits, checked["x_test"]], note


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
    if x is None:
        raise InputError(f"{path}: {key} needs x{key[1:]} beside it")
    if np.shape(x)[:1] != np.shape(y)[:1]:
        raise InputError(f"{path}: {key} has shape {np.shape(y)}, but x{key[1:]} has {np.shape(x)}")
