"""TensorBoard files with the rows of `metrics.jsonl`, as scalars."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from genjax_models.errors import InputError
from genjax_models.runs.history import Row


@contextlib.contextmanager
def tensorboard(
    folder: Path | str, *, resumed_at: int | None = None, rows: Sequence[Row] | None = None
) -> Iterator[Callable[[Row], None]]:
    """Yields a callback for `fit` that writes each row's metrics as scalars "split/name" at the row's step.

        with tensorboard("runs/demo/tensorboard") as on_metrics:
            fit(trainer, data, training, on_metrics=on_metrics)

    All rows are on disk at the end of the block, also after an error.

    Args:
      folder: folder of the event files; created if it is absent. Existing files are kept.
      resumed_at: step from which a stopped run resumes; TensorBoard then hides rows of later steps in earlier files.
      rows: all rows so far, which are written first. Earlier event files are deleted, so that every reader sees each
        row once.

    Raises:
      InputError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise InputError(
            "tensorboard needs tensorboardX, which is not installed; pip install 'genjax_models[tensorboard]'"
        ) from error
    files = sorted(Path(folder).glob("events.out.tfevents.*"))
    if rows is not None and files:
        resumed_at = -1  # a TensorBoard that is open forgets all that it has read
        for file in files:
            file.unlink()
    # A file's name holds the second; without the suffix, a second writer would overwrite the file.
    earlier = len(files)
    purge_step = None if resumed_at is None else resumed_at + 1
    with SummaryWriter(str(folder), purge_step=purge_step, filename_suffix=f".{earlier:04d}") as writer:

        def on_metrics(row: Row) -> None:
            for name, value in row.items():
                if name not in ("step", "split"):
                    writer.add_scalar(f"{row['split']}/{name}", value, row["step"])

        for row in rows or ():
            on_metrics(row)
        yield on_metrics
