"""A digest of a data set, by which a resumed run knows its data again."""

import hashlib

import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.records import Records


def fingerprint(dataset: Dataset) -> str:
    """sha256 over values, labels and declared range of all splits; of records, over the digests of their values."""
    digest = hashlib.sha256(repr(tuple(map(float, dataset.range))).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        for array in split:
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                of_values = array.sha256[array.rows] if isinstance(array, Records) else array
                digest.update(np.ascontiguousarray(of_values).data)
    return digest.hexdigest()
