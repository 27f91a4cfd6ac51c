"""Loads a finished run whose model has an encoder, and prepares data for it, for the commands on latents."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.random import fold_in

from genjax_models.data import Prepared
from genjax_models.data.records import Records
from genjax_models.errors import InputError
from genjax_models.models import LatentVariableModel
from genjax_models.runs.loading import LoadedRun, load_run
from genjax_models.systems.file_options import FileOptions, flags
from genjax_models.types import Array, Batch

SPLITS = {"train": "train", "validation": "validation", "test": "test"}  # name in a file -> split
_STREAMED = 2**32 - 4  # the key of binary pixels of streamed examples; no key of a run or of an evaluation has it
_AS_IN_TRAINING = FileOptions()


def load_encoder_run(path: Path, checkpoint: Literal["best", "last"] = "best", *, data: bool = True) -> LoadedRun:
    """Returns the run, with its data if `data`.

    Raises:
      InputError: no run is there, or its model has no posterior.
      CheckpointError: the checkpoint is absent or damaged.
    """
    run = load_run(path, checkpoint, data=data)
    if not isinstance(run.model, LatentVariableModel):
        raise InputError(
            f"{path}: needs a model with a posterior q(z | x), such as a run of experiments.vae or experiments.iwae"
        )
    return run


def data_of(
    run: LoadedRun,
    name: str | None,
    files: FileOptions = _AS_IN_TRAINING,
    *,
    labels: bool = False,
    whole: bool = True,
) -> tuple[Prepared, Mapping[str, str]]:
    """Returns the run's data, or other data prepared as these, and the split of each name in a file.

    If `whole`, other data without splits of their own have one name, "": all examples in the order of their source.
    They are the split "test", which is prepared at once.

    Args:
      run: loaded without data.
      name: name of other data; None for the run's data.
      files: options that replace the run's.
      labels: whether other data need labels.
      whole: whether data without splits stay whole.

    Raises:
      InputError: they cannot be loaded, have another shape, or have no labels where `labels` are needed.
    """
    if name is None:
        return run.system.prepare(run.config.load()[1]), SPLITS
    group, given = run.config.data, files.given
    absent = {option: value for option, value in given.items() if not hasattr(group, option)}
    if absent:  # points in the plane
        raise InputError(f"--data {name}: data of this run take no {flags(absent)}")
    _, dataset = dataclasses.replace(group, name=name, **given).load(labels=labels)
    if dataset.shape != group.shape:
        raise InputError(f"--data {name}: examples must have the shape {group.shape} of the run, got {dataset.shape}")
    examples = dataset.in_order() if whole else None
    if examples is None:
        return run.system.prepare(dataset), SPLITS
    return run.system.prepare(dataset._replace(test=examples)), {"": "test"}


def posterior_means(run: LoadedRun, batch: Batch) -> Array:
    """Returns the posterior means of all stochastic layers and steps, concatenated: `[n, latent]`."""
    from genjax_models.evaluation.latents import latent_usage_by_layer

    usage = jax.jit(lambda x, label: latent_usage_by_layer(run.model, run.variables, jax.random.key(0), x, label=label))
    n, layers = len(batch.x), usage(batch.x, label_of(run, batch))
    return jnp.concatenate([layer.means.reshape(n, -1) for layer in layers], axis=-1)


def label_of(run: LoadedRun, batch: Batch) -> Array | None:
    """Returns the labels of the batch, or what its model sees in their place; None if it is not conditional."""
    condition = getattr(run.model, "condition", None)
    if condition is not None:
        return condition.of(batch)
    return batch.label if run.config.data.classes else None


def block_size(data: Prepared, most: int) -> int:
    """Returns the number of examples of a block: `most`, or fewer if no split has as many."""
    return min(most, max(len(batch.x) for batch in (data.train, data.validation, data.test)))


def blocks_of(data: Prepared, split: str, size: int) -> Iterator[tuple[int, int, Batch]]:
    """Yields a split in blocks: the index of the first example, the number of examples, and `size` prepared examples.

    Every block has one shape, so that it is compiled for once: the last block repeats its last example. Streamed
    training examples are read block by block; binary pixels of a block are then drawn with a key of its own.
    """
    stored, shared = data.train, fold_in(jax.random.key(0), np.uint32(_STREAMED))
    streamed = split == "train" and isinstance(stored.x, Records)
    whole = data.training_examples(slice(None)) if split == "train" and not streamed else getattr(data, split)
    n = len(whole.x)
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        part = jax.tree.map(lambda a, rows=rows: a[rows], whole)
        if streamed:
            part = data.each_step(fold_in(shared, start), part._replace(x=np.asarray(part.x)))
        yield start, min(size, n - start), part
