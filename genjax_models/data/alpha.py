"""Data with an alpha channel, and the same data on white."""

import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.records import Records
from genjax_models.data.splits import Split
from genjax_models.errors import InputError


def opaque(dataset: Dataset) -> Dataset:
    """Returns images of straight red, green, blue and alpha as red, green and blue on white, of the same type.

    Raises:
      InputError: the data are no images of four channels in memory.
    """
    x = dataset.train.x
    if dataset.kind != "images" or dataset.shape[2] != 4 or isinstance(x, Records):
        raise InputError(f"{dataset.name}: opaque needs images of four channels in memory, got {dataset.in_words}")
    splits = {name: _on_white(getattr(dataset, name), dataset.range) for name in ("train", "validation", "test")}
    return dataset._replace(**splits, provenance=f"{dataset.provenance}; on white")


def _on_white(split: Split, range: tuple[float, float]) -> Split:
    low, high = range
    alpha = (split.x[..., 3:].astype(np.float32) - low) / (high - low)
    x = alpha * split.x[..., :3] + (1 - alpha) * high
    return split._replace(x=(np.rint(x) if split.x.dtype == np.uint8 else x).astype(split.x.dtype))
