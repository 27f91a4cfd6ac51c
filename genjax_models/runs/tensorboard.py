"""TensorBoard beside `metrics.jsonl`: the same rows, as scalars."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from genjax_models.errors import InputError
from genjax_models.runs.history import Row


@contextlib.contextmanager
def tensorboard(folder: Path | str, *, resumed_at: int | None = None) -> Iterator[Callable[[Row], None]]:
    """A callback for `fit` that writes each row's metrics as scalars "split/name" at the row's step.

        with tensorboard("runs/demo/tensorboard") as on_metrics:
            fit(trainer, data, training, on_metrics=on_metrics)

    All is on disk when the block is left, however it is left.

    Args:
      folder: of the event files; made where it is not there. What is there already stays.
      resumed_at: the step at which a run that was stopped goes on: TensorBoard forgets what it logged after it.

    Raises:
      InputError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "tensorboard: tensorboardX writes its files and is not installed; pip install 'genjax_models[tensorboard]'"
        ) from error
    # A name is made of the second; a second writer within it would empty the first one's file.
    earlier = len(list(Path(folder).glob("events.out.tfevents.*")))
    purge_step = None if resumed_at is None else resumed_at + 1
    with SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{earlier:04d}") as writer:

        def on_metrics(row: Row) -> None:
            for name, value in row.items():
                if name not in ("step", "split"):
                    writer.add_scalar(f"{row['split']}/{name}", value, row["step"])

        yield on_metrics
