"""Loads a finished run whose model has an encoder, for the commands on latents."""

from pathlib import Path
from typing import Literal

from genjax_models.errors import InputError
from genjax_models.models import LatentVariableModel
from genjax_models.runs.loading import LoadedRun, load_run
from genjax_models.types import Array, Batch


def load_encoder_run(path: Path, checkpoint: Literal["best", "last"] = "best") -> LoadedRun:
    """Returns the run, with its data.

    Raises:
      InputError: no run is there, or its model has no posterior.
      CheckpointError: the checkpoint is absent or damaged.
    """
    run = load_run(path, checkpoint, data=True)
    if not isinstance(run.model, LatentVariableModel):
        raise InputError(
            f"{path}: needs a model with a posterior q(z | x), such as a run of experiments.vae or experiments.iwae"
        )
    return run


def label_of(run: LoadedRun, batch: Batch) -> Array | None:
    """Returns the labels of the batch; None if the model is not conditional."""
    return batch.label if run.config.data.classes else None
