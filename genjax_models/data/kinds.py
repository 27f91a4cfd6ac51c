"""Kinds of data: images, vectors or sequences. The rank of an array does not always say which."""

from typing import Any, Literal, get_args

import numpy as np

from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.types import Shape

Kind = Literal["images", "vectors", "sequences"]

_SHAPES = {
    "images": "[n, height, width, 1 to 4 channels] or [n, height, width]",
    "vectors": "[n, d]",
    "sequences": "[n, time, d] or [n, time, a, b]",
}
_DECLARE = "Use --data-kind images or --data-kind sequences (in Python, kind='images' or kind='sequences')"


def kind_of(where: str, x: Any, kind: Kind | None = None, *, has_length: bool = False) -> Kind:
    """Returns what examples x `[n, ...]` are; `where` begins the errors.

    Examples with lengths are sequences. Others are vectors `[n, d]`, images `[n, height, width, channels]`, or images
    `[n, height, width]` of bytes. Other `[n, a, b]` may be images or sequences, so `kind` must say it.

    Raises:
      InputError: `kind` is unknown, does not fit the shape, or is needed.
    """
    if kind is not None and kind not in get_args(Kind):
        raise InputError(f"{where}: kind must be one of {', '.join(get_args(Kind))}, or None, got {kind!r}")
    x = x if isinstance(x, Records) else np.asarray(x)
    if x.ndim not in (2, 3, 4) or 0 in x.shape[1:]:
        shapes = _SHAPES[kind] if kind else f"{_SHAPES['images']} for images, or vectors [n, d]"
        raise InputError(f"{where}: x must be {shapes}, got shape {x.shape}")
    if not len(x):
        raise InputError(f"{where}: needs at least one example, got none")
    if kind is None:
        if x.ndim == 3 and not has_length and x.dtype != np.uint8:
            raise InputError(
                f"{where}: {x.dtype} of shape {x.shape} may be grey images or sequences [n, time, d]. {_DECLARE}"
            )
        kind = "sequences" if has_length else "vectors" if x.ndim == 2 else "images"
    if x.ndim not in {"vectors": (2,), "sequences": (3, 4), "images": (3, 4)}[kind]:
        raise InputError(f"{where}: x must be {_SHAPES[kind]} for {kind}, got shape {x.shape}")
    if has_length and kind != "sequences":
        raise InputError(f"{where}: length needs kind sequences, got {kind}")
    return kind


def with_channels(where: str, x: np.ndarray, kind: Kind) -> np.ndarray:
    """Returns images as `[n, height, width, channels]`; other kinds stay unchanged.

    Raises:
      InputError: images have more than four channels.
    """
    if kind == "images" and x.ndim == 4 and x.shape[3] > 4:
        hint = ". Channels seem to come first: move them to the end" if x.shape[1] <= 4 else ""
        raise InputError(f"{where}: images must be (height, width, 1 to 4 channels), got {x.shape[1:]}{hint}")
    return x[..., None] if kind == "images" and x.ndim == 3 else x


def kind_in_words(kind: Kind, shape: Shape) -> str:
    """Returns the kind of examples of this shape, as in "grey images of 28 x 28"."""
    if kind == "images":
        height, width, channels = shape
        colour = {1: "grey images", 3: "colour images"}.get(channels, f"images of {channels} channels")
        return f"{colour} of {height} x {width}"
    if kind == "sequences":
        return f"sequences of at most {shape[0]} steps of {' x '.join(map(str, shape[1:]))} numbers"
    return f"vectors of {shape[0]} numbers"
