"""Preparation of data: stored values are scaled to the range of a model, and binarised if its likelihood needs it."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.records import Records
from genjax_models.data.splits import Split
from genjax_models.data.steps import has_data
from genjax_models.data.values import Range, checked_range
from genjax_models.errors import InputError
from genjax_models.types import Array, Batch, PRNGKey

Binarisation = Literal["dynamic", "fixed", "threshold", "none"]

PART = 2**23  # numbers in a part of the training examples

# Held-out data do not depend on the seed, so that bounds of several runs compare. No key of a run folds in this number.
_BINARISATION = 2**32 - 2


class Prepared(NamedTuple):
    """Data as training and evaluation use them. `train` is not scaled yet: your own loop calls `each_step` on a batch.

    Attributes:
      train: training examples as they are stored, on the device; or on disk, if `x` is `Records`. Not prepared.
      validation: validation examples, prepared.
      test: test examples, prepared.
      each_step: (key, batch of `train`) -> the batch, prepared.
      range: lowest and highest value of prepared examples.
    """

    train: Batch
    validation: Batch
    test: Batch
    each_step: Callable[[PRNGKey, Batch], Batch]
    range: Range

    @property
    def example(self) -> Batch:
        """Returns the examples with which players are initialised: the first of `parts`."""
        return next(self.parts())

    def parts(self) -> Iterator[Batch]:
        """Yields all training examples as a step sees them, at most 2^23 numbers at a time."""
        size = max(1, PART // math.prod(self.train.x.shape[1:]))
        for start in range(0, len(self.train.x), size):
            yield self.training_examples(slice(start, start + size))

    def training_examples(self, rows: slice | np.ndarray) -> Batch:
        """Returns the training examples of these rows as a step sees them; all binary pixels are drawn with one key."""
        some = jax.tree.map(lambda a: a[rows], self.train)
        some = some._replace(x=np.asarray(some.x)) if isinstance(some.x, Records) else some
        return self.each_step(jax.random.fold_in(jax.random.key(0), np.uint32(_BINARISATION)), some)


def prepare(dataset: Dataset, *, binarise: Binarisation = "none", range: Range | None = None) -> Prepared:
    """Returns data to train on: held-out splits as float32, scaled to `range` and binarised if asked.

    Training examples stay as they are stored, or as binary bytes. `each_step(key, batch)` of the result scales and
    binarises a batch of them; `fit` calls it at every step, and your own loop must too.

    Sequences have zeros after their ends, whatever the ranges are.

    Args:
      dataset: data as stored.
      binarise: "none": values stay. "dynamic": fresh Bernoulli draws at each step, on the device, with the value in
        [0, 1] as probability (Burda et al., 2015). "fixed": drawn once. "threshold": 1 from one half on. Held-out
        splits are drawn once, with a fixed seed, for "dynamic" and for "fixed".
      range: range of the model's values. Default: (0, 1) for bytes and for data that become binary; the data's own
        range for floating point, which keeps its values and the units of its densities.

    Raises:
      InputError: `dataset` is no `Dataset`, `binarise` is unknown, `range` is not (0, 1) for binary data, or `binarise`
        is "fixed" for data on disk, which does not store draws.
    """
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"`dataset` must be a Dataset, got {type(dataset).__name__}. Use prepare(load(name)) or"
            " prepare(from_arrays(x))"
        )
    if binarise not in get_args(Binarisation):
        raise InputError(f"`binarise` must be one of {', '.join(get_args(Binarisation))}, got {binarise!r}")
    if range is None:
        range = (0, 1) if binarise != "none" or dataset.train.x.dtype == np.uint8 else dataset.range
    if binarise != "none" and tuple(range) != (0, 1):
        raise InputError(f"`range` must be (0, 1) with binarise={binarise!r}, got {range}")
    range = checked_range("prepare", range)
    scale = partial(_scaled, stored=dataset.range, wanted=range)
    binary = _BINARY[binarise]

    def once(split: Split, index: int) -> Batch:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), np.uint32(_BINARISATION)), index)
        batch = _batch(split.x, split)
        return batch._replace(x=jax.jit(lambda key, batch: _unpadded(batch, binary(key, scale(batch.x))))(key, batch))

    on_disk = isinstance(dataset.train.x, Records)
    if on_disk and binarise == "fixed":
        raise InputError("`binarise` must be dynamic, threshold or none for streamed data, got fixed")

    def each_step(key: PRNGKey, batch: Batch) -> Batch:
        if binarise == "dynamic" or (binarise == "threshold" and on_disk):
            return batch._replace(x=_unpadded(batch, binary(key, scale(batch.x))))
        x = batch.x.astype(jnp.float32) if binarise != "none" else scale(batch.x)
        return batch._replace(x=_unpadded(batch, x))

    stored = Batch(**_fields(dataset.train)) if on_disk else _batch(dataset.train.x, dataset.train)
    if binarise in ("fixed", "threshold") and not on_disk:  # zeros and ones fit in a byte
        drawn = once(dataset.train, 0)
        stored = drawn._replace(x=drawn.x.astype(jnp.uint8))
    return Prepared(stored, once(dataset.validation, 1), once(dataset.test, 2), each_step, range)


def _scaled(x: Array, *, stored: Range, wanted: Range) -> Array:
    unit = (jnp.asarray(x, jnp.float32) - stored[0]) / (stored[1] - stored[0])
    return jnp.clip(wanted[0] + (wanted[1] - wanted[0]) * unit, *wanted)  # rounding can leave the range


def _unpadded(batch: Batch, x: Array) -> Array:
    """Returns x with zeros after the end of each sequence: scaled padding is no zero if the ranges differ."""
    if batch.length is None:
        return x
    return jnp.where(has_data(batch.length, x.shape[1]).reshape(*x.shape[:2], *[1] * (x.ndim - 2)), x, 0.0)


def _drawn(key: PRNGKey, p: Array) -> Array:
    return jax.random.bernoulli(key, p).astype(jnp.float32)


_BINARY: dict[str, Callable[[PRNGKey, Array], Array]] = {
    "dynamic": _drawn,
    "fixed": _drawn,
    "threshold": lambda key, p: (p >= 0.5).astype(jnp.float32),
    "none": lambda key, p: p,
}


def _batch(x, split: Split) -> Batch:
    fields = _fields(split._replace(x=x))
    return Batch(**{name: jnp.asarray(field) for name, field in fields.items() if field is not None})


def _fields(split: Split) -> dict[str, Any]:
    """Returns what a batch has of a split."""
    return {name: getattr(split, name) for name in Batch._fields}
