"""Scales of splits: splits of several types or on several scales are refused, since one range describes them all."""

from typing import Any

import numpy as np

from genjax_models.data.records import Records
from genjax_models.data.values import COMMON_RANGES
from genjax_models.errors import InputError

_CHANCE = 1e-3  # below it, a split that stays in a narrower range than another does so on purpose
_SMALLER = 1 / 16  # share of the largest value, within which a whole split does not stay by itself
_ROUNDING = 2e-3  # share of an end of a range by which float16 may leave it


def refuse_scales(where: str, xs: dict[str, Any]) -> None:
    """Refuses held-out splits of another type or on another scale than training, the first split.

    Floating point and bytes (uint8, bool) are two types. Bytes up to 1 and bytes up to 255 are two scales. Other values
    are on two scales if one split stays in a narrower range than many examples of the other: so many that it would stay
    there by chance with a probability below 1e-3. The narrower range is a sixteenth of the values' size; for floating
    point also [0, 1], [-1, 1] or [0, 255]. Splits that `dataset.check` refuses anyway are left to it.

    Args:
      where: source of the data, for errors.
      xs: examples by the name of their split, `[n, *shape]` each.

    Raises:
      InputError: names the held-out split, and both types and ranges.
    """
    arrays = {split: x if isinstance(x, Records) else np.asarray(x) for split, x in xs.items()}
    arrays = {split: x for split, x in arrays.items() if _kind(x) and len(x) and 0 not in x.shape}
    extremes = {split: _extremes(x) for split, x in arrays.items()}
    names = [split for split, (low, high) in extremes.items() if np.isfinite(low).all() and np.isfinite(high).all()]
    train = next(iter(xs), "")
    for split in names if train in names else []:  # training agrees with itself
        same_kind = _kind(arrays[train]) == _kind(arrays[split])
        if same_kind and _one_scale(_kind(arrays[train]), extremes[train], extremes[split]):
            continue
        raise InputError(
            f"{where}: {split} has {_in_words(arrays[split], extremes[split])}, but {train} has"
            f" {_in_words(arrays[train], extremes[train])}."
            f" All splits must have one type and one scale: convert {split}"
        )


def _kind(x: np.ndarray | Records) -> str:
    """Returns "bytes" or "floating point", the types that splits may share; "" for other types and for no rows."""
    if isinstance(x, Records) or (x.ndim and x.dtype in (np.uint8, np.bool_)):
        return "bytes"
    return "floating point" if x.ndim and np.issubdtype(x.dtype, np.floating) else ""


def _extremes(x: np.ndarray | Records) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and the highest value of each example, float64 `[n]` each."""
    if isinstance(x, Records):
        low, high = x.low[x.rows], x.high[x.rows]
    else:
        flat = x.reshape(len(x), -1)
        low, high = flat.min(axis=1), flat.max(axis=1)
    with np.errstate(over="ignore"):  # a value beyond float64 becomes infinite, and is refused by its row
        return low.astype(np.float64), high.astype(np.float64)


def _one_scale(kind: str, a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> bool:
    size = sorted(max(abs(low.min()), abs(high.max())) for low, high in (a, b))
    if not size[0]:  # zeros may be of every scale
        return True
    if kind == "bytes" and size[0] == 1:
        return size[1] == 1
    smaller = (-size[1] * _SMALLER, size[1] * _SMALLER)
    scales = (smaller,) if kind == "bytes" else (*COMMON_RANGES, smaller)
    return not any(_stays(part, other, scale) for scale in scales for part, other in ((a, b), (b, a)))


def _stays(
    part: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray], scale: tuple[float, float]
) -> bool:
    """Returns whether all examples of `part` are in `scale`, and so many of `other` are not that this is no chance."""
    low, high = scale
    below, above = (max(_ROUNDING * abs(end), 1e-6 * (high - low)) for end in scale)
    outside = lambda extremes: (extremes[0] < low - below) | (extremes[1] > high + above)
    if outside(part).any():
        return False
    inside = (np.sum(~outside(other)) + 0.5) / (len(other[0]) + 0.5)
    return inside ** len(part[0]) < _CHANCE


def _in_words(x: np.ndarray | Records, extremes: tuple[np.ndarray, np.ndarray]) -> str:
    dtype = "uint8" if isinstance(x, Records) else x.dtype
    return f"{dtype} values in [{float(extremes[0].min()):.6g}, {float(extremes[1].max()):.6g}]"
