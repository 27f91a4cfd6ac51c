"""idx, the format of MNIST's files: two zero bytes, a type, a rank, big-endian sizes, then the values."""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from genjax_models.data.dataset import Dataset, Range, from_splits
from genjax_models.data.splits import Split, copies_note, refuse_overlap, split_at_random
from genjax_models.errors import InputError

_UINT8 = 0x08
_FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}


def read(path: Path) -> np.ndarray:
    """Reads the uint8 array of an idx file, gzipped or not.

    Raises:
      InputError: the format or the type is another, or the file has more or fewer bytes than its header says.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read, and may be truncated ({error})") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(f"{path}: is not an idx file (its first bytes are {data[:4].hex(' ')})")
    kind, rank = data[2], data[3]
    if kind != _UINT8:
        raise InputError(f"{path}: the type must be 0x08, unsigned bytes, got 0x{kind:02x}")
    if not 1 <= rank <= 4:
        raise InputError(f"{path}: the rank must be 1 to 4, got {rank}")
    start = 4 + 4 * rank
    shape = tuple(np.frombuffer(data[4:start], ">u4").tolist()) if len(data) >= start else ()
    if len(shape) != rank or len(data) - start != math.prod(shape):
        size = max(len(data) - start, 0)
        raise InputError(f"{path}: is truncated or damaged: {size} bytes of values, but its header says {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load_folder(
    folder: Path, *, range: Range | None = None, overlap: Literal["refuse", "report"] = "refuse"
) -> Dataset:
    """Reads the four files of MNIST's format; validation is a twelfth of the training images, by one fixed shuffle.

    Test images that training holds too are refused, or counted in the provenance (`overlap="report"`). Copies of a
    training image stay together, in training or in validation.

    Raises:
      InputError: a file is missing or damaged, images and labels differ in number, or the splits share images.
    """
    arrays = {what: read(_find(folder, name)) for what, name in _FILES.items()}
    for split in ("train", "test"):
        images, labels = len(arrays[f"{split} images"]), len(arrays[f"{split} labels"])
        if images != labels:
            raise InputError(f"{folder}: {images} {split} images but {labels} {split} labels")
    size = len(arrays["train images"])
    sizes = size - size // 12, size // 12
    if overlap == "refuse":  # before the shuffle, so that errors name rows of the files
        refuse_overlap(str(folder), {what: arrays[what] for what in ("train images", "test images")})
    train, validation = split_at_random(Split(arrays["train images"], arrays["train labels"]), sizes, where=str(folder))
    return from_splits(
        train,
        validation,
        Split(arrays["test images"], arrays["test labels"]),
        name=folder.name,
        range=range,
        provenance=f"idx files in {folder}; training images shuffled by RandomState(0), the last {sizes[1]} held out"
        + copies_note(arrays["train images"]),
        overlap=overlap,
    )


def holds_idx(folder: Path) -> bool:
    """Returns whether the folder has any of the four files."""
    return any((folder / f"{name}{suffix}").is_file() for name in _FILES.values() for suffix in ("", ".gz"))


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{folder}: needs {name} (or {name}.gz); a folder of idx files has {', '.join(_FILES.values())}")
