"""A digest of a data set, by which a resumed run knows its data again."""

import hashlib

import numpy as np

from genjax_models.data.dataset import Dataset


def fingerprint(dataset: Dataset) -> str:
    """sha256 over values, labels and declared range of all splits."""
    digest = hashlib.sha256(repr(tuple(map(float, dataset.range))).encode())
    for split in (dataset.train, dataset.validation, dataset.test):
        for array in split:
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
