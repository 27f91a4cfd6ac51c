"""idx, the format of MNIST's own files: two zero bytes, a type, a rank, big-endian sizes, then the values."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from genjax_models.data.dataset import Dataset, Range, Split, from_arrays, split_at_random
from genjax_models.errors import InputError

_UINT8 = 0x08
_FILES = {
    "train images": "train-images-idx3-ubyte",
    "train labels": "train-labels-idx1-ubyte",
    "test images": "t10k-images-idx3-ubyte",
    "test labels": "t10k-labels-idx1-ubyte",
}


def read(path: Path) -> np.ndarray:
    """The uint8 array in an idx file, gzipped or not.

    Raises:
      InputError: another format, another type, or more or fewer bytes than the header announces.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read, it may be truncated ({error})") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise InputError(f"{path}: is no idx file (its first bytes are {data[:4].hex(' ')})")
    kind, rank = data[2], data[3]
    if kind != _UINT8:
        raise InputError(f"{path}: holds values of type 0x{kind:02x}; accepted is 0x08, unsigned bytes")
    if not 1 <= rank <= 4:
        raise InputError(f"{path}: holds an array of rank {rank}; accepted are 1 to 4")
    start = 4 + 4 * rank
    shape = tuple(np.frombuffer(data[4:start], ">u4").tolist()) if len(data) >= start else ()
    if len(shape) != rank or len(data) - start != math.prod(shape):
        found = max(len(data) - start, 0)
        raise InputError(f"{path}: is truncated or damaged: {found} bytes of values, its header announces {shape}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def load_folder(folder: Path, *, range: Range | None = None) -> Dataset:
    """The four files of MNIST's format: validation is a twelfth of the training images, by one fixed shuffle."""
    arrays = {what: read(_find(folder, name)) for what, name in _FILES.items()}
    for split in ("train", "test"):
        images, labels = len(arrays[f"{split} images"]), len(arrays[f"{split} labels"])
        if images != labels:
            raise InputError(f"{folder}: {images} {split} images but {labels} {split} labels")
    size = len(arrays["train images"])
    sizes = size - size // 12, size // 12
    train, validation = split_at_random(arrays["train images"], arrays["train labels"], sizes)
    return from_arrays(
        train,
        validation,
        Split(arrays["test images"], arrays["test labels"]),
        name=folder.name,
        range=range,
        provenance=f"idx files in {folder}; training images shuffled by RandomState(0), the last {sizes[1]} held out",
    )


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(
        f"{folder}: holds no {name} (or {name}.gz); a folder of idx files has {', '.join(_FILES.values())}"
    )
