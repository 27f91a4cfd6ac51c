"""A margin around images, for networks that need another size."""

from functools import partial

import numpy as np

from genjax_models.data.dataset import Dataset, Split
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Array


def padded(dataset: Dataset, size: int) -> Dataset:
    """Returns images smaller than `size` in height or width with a margin of the range's lowest value around them.

    The image stays in the middle; the larger part of an odd margin is below and on the right. Images that are large
    enough stay as they are, in the same order. The provenance names the margin.

    Raises:
      InputError: the examples are no images, or training images are on disk and smaller.
    """
    if len(dataset.shape) != 3:
        raise InputError(f"a margin is put around images, got examples of shape {dataset.shape} from {dataset.name}")
    missing = [max(0, size - side) for side in dataset.shape[:2]]
    if not any(missing):
        return dataset
    if isinstance(dataset.train.x, Records):
        raise InputError(
            f"no margin can be put around streamed images: let those of {dataset.name} be decoded to {size} pixels a"
            " side (image_size)"
        )
    margins = [(0, 0), *((pixels // 2, pixels - pixels // 2) for pixels in missing), (0, 0)]
    pad = partial(np.pad, pad_width=margins, constant_values=dataset.range[0])
    splits = {name: split._replace(x=pad(split.x)) for name, split in _splits(dataset).items()}
    made = dataset._replace(**splits)
    before, after = (" x ".join(map(str, one.shape[:2])) for one in (dataset, made))
    return made._replace(provenance=f"{dataset.provenance}; {before} set in a margin of {dataset.range[0]:g}, {after}")


def without_margin(x: Array, height: int, width: int) -> Array:
    """Returns the middle of images `[..., height', width', channels]`, where `padded` puts an image of this size."""
    top, left = ((side - small) // 2 for side, small in zip(x.shape[-3:-1], (height, width), strict=True))
    return x[..., top : top + height, left : left + width, :]


def _splits(dataset: Dataset) -> dict[str, Split]:
    return {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
