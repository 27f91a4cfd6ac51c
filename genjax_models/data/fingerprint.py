"""A digest of a data set, by which a resumed run recognises its data."""

import hashlib

import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.records import Records
from genjax_models.types import Batch


def fingerprint(dataset: Dataset) -> str:
    """Returns the sha256 over the range and the examples of all splits; of records, over their digests."""
    digest = hashlib.sha256(repr(tuple(map(float, dataset.range))).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        for array in (getattr(split, name) for name in Batch._fields):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                of_values = array.sha256[array.rows] if isinstance(array, Records) else array
                digest.update(np.ascontiguousarray(of_values).data)
    return digest.hexdigest()
