"""Trackers of a run: callbacks that pass the rows of `metrics.jsonl` on to TensorBoard and to Weights & Biases."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from genjax_models.runs.history import Row
from genjax_models.runs.tensorboard import tensorboard as event_files
from genjax_models.runs.weights_and_biases import weights_and_biases

Tracker = AbstractContextManager[Callable[[Row], None]]


def of_run(
    folder: Path,
    rows: Sequence[Row],
    *,
    config: Mapping[str, Any],
    name: str,
    group: str | None,
    tensorboard: bool,
    wandb: bool,
) -> list[Tracker]:
    """Returns the trackers of a run, not yet open.

    Args:
      folder: directory of the run; files go into its folders `tensorboard` and `wandb`.
      rows: rows of a run that resumes. Trackers get them first, so that no row is missing and none is there twice.
      config: config of the run, for W&B.
      name: name of the run, for W&B.
      group: name that the members of a run share, for W&B.
      tensorboard: whether to write event files.
      wandb: whether to write to W&B.
    """
    trackers: list[Tracker] = []
    if tensorboard:
        trackers.append(event_files(folder / "tensorboard", rows=rows))
    if wandb:
        trackers.append(weights_and_biases(folder, rows=rows, config=config, name=name, group=group))
    return trackers
