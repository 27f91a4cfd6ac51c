"""Which steps of padded sequences are data."""

from typing import Any

import numpy as np

from genjax_models.types import Array


def has_data(length: Array, time: int) -> Array:
    """Returns which steps belong to sequences of these lengths `[n]`, bool `[n, time]`."""
    return np.arange(time)[None] < length[:, None]


def with_padding(x: Any, length: np.ndarray, value: Any) -> np.ndarray:
    """Returns sequences `[n, time, ...]` with `value` after each sequence's end; x itself if that changes nothing."""
    padding = ~has_data(length, x.shape[1])
    if not padding.any():
        return x
    return np.where(padding.reshape(*padding.shape, *[1] * (x.ndim - 2)), np.asarray(value, x.dtype), x)
