"""A margin around images, for networks that need a larger size."""

import math
from functools import partial

import numpy as np

from genjax_models.data import host_memory
from genjax_models.data.dataset import Dataset
from genjax_models.data.records import Records
from genjax_models.data.splits import Split
from genjax_models.errors import InputError
from genjax_models.types import Array


def padded(dataset: Dataset, size: int) -> Dataset:
    """Returns the images with a margin that makes height and width at least `size`; its value is the range's lowest.

    The image stays in the middle; the larger part of an odd margin is below and on the right. Images that are large
    enough stay unchanged. The provenance names the margin.

    Raises:
      InputError: the examples are not images, the training images are on disk and too small, or the images with their
        margin do not fit into memory.
    """
    if len(dataset.shape) != 3:
        raise InputError(f"a margin needs images, got examples of shape {dataset.shape} from {dataset.name}")
    missing = [max(0, size - side) for side in dataset.shape[:2]]
    if not any(missing):
        return dataset
    if isinstance(dataset.train.x, Records):
        raise InputError(
            f"{dataset.name}: streamed images must have {size} pixels a side, got {dataset.shape}."
            f" Use image_size={size} (--image-size {size})"
        )
    pixels = math.prod(side + more for side, more in zip(dataset.shape[:2], missing, strict=True)) * dataset.shape[2]
    needed = pixels * sum(len(split.x) * split.x.dtype.itemsize for split in _splits(dataset).values())
    host_memory.check_fits(needed, f"pad_to {size}: memory of the images")
    margins = [(0, 0), *((pixels // 2, pixels - pixels // 2) for pixels in missing), (0, 0)]
    pad = partial(np.pad, pad_width=margins, constant_values=dataset.range[0])
    splits = {name: split._replace(x=pad(split.x)) for name, split in _splits(dataset).items()}
    made = dataset._replace(**splits)
    before, after = (" x ".join(map(str, one.shape[:2])) for one in (dataset, made))
    return made._replace(provenance=f"{dataset.provenance}; {before} set in a margin of {dataset.range[0]:g}, {after}")


def without_margin(x: Array, height: int, width: int) -> Array:
    """Returns images of this size from the middle of `padded` images `[..., height', width', channels]`."""
    top, left = ((side - small) // 2 for side, small in zip(x.shape[-3:-1], (height, width), strict=True))
    return x[..., top : top + height, left : left + width, :]


def _splits(dataset: Dataset) -> dict[str, Split]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
