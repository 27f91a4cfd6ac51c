"""A run of Weights & Biases with the rows of `metrics.jsonl`."""

import contextlib
import os
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.history import Row

_PROJECT = "genjax_models"
_ID = "wandb/id"  # in the folder


@contextlib.contextmanager
def weights_and_biases(
    folder: Path | str,
    *,
    rows: Sequence[Row] = (),
    config: Mapping[str, Any] | None = None,
    name: str | None = None,
    group: str | None = None,
) -> Iterator[Callable[[Row], None]]:
    """Yields a callback for `fit` that logs each row's metrics as "split/name" at the row's step.

        with weights_and_biases("runs/demo") as on_metrics:
            fit(trainer, data, training, on_metrics=on_metrics)

    The variables WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY and so on apply; the project is by default "genjax_models".
    W&B has the run as failed if the block ends with an error. If W&B fails later, a warning says so and training goes
    on.

    Args:
      folder: W&B writes into `folder/wandb`, which also keeps the id: a run that resumes is the same run of W&B.
      rows: rows of a run that resumes. Those that W&B has already are left out.
      config: config to show with the run.
      name: name of the run; by default the folder's.
      group: name that several runs share.

    Raises:
      InputError: wandb is not installed, or cannot start (no API key, no connection).
    """
    folder = Path(folder)
    try:
        import wandb
    except ImportError as error:
        raise InputError(
            "wandb needs the package wandb, which is not installed: pip install 'genjax_models[wandb]'"
        ) from error
    try:
        run = wandb.init(
            id=_id_of(folder),
            resume="allow",
            dir=folder,
            project=os.environ.get("WANDB_PROJECT") or _PROJECT,
            name=name or folder.resolve().name,
            group=group,
            config=dict(config or {}),
            reinit="create_new",  # members have runs of their own, side by side
            settings=wandb.Settings(console="off"),  # or W&B would take over the streams
        )
    except Exception as error:  # wandb raises errors of its own, of pydantic and of the operating system
        reason = " ".join(str(error).split())
        raise InputError(f"wandb cannot start ({reason}). Use `wandb login`, or set WANDB_MODE=offline") from error
    failed = False

    def on_metrics(row: Row) -> None:
        nonlocal failed
        metrics = {f"{row['split']}/{name}": value for name, value in row.items() if name not in ("step", "split")}
        try:
            if not failed:
                run.log(metrics, step=row["step"])
        except Exception as error:
            failed = True
            reason = " ".join(str(error).split())
            warnings.warn(f"wandb gets no more rows, metrics.jsonl has all ({reason})", stacklevel=2)

    for row in rows:
        if row["step"] >= run.step:
            on_metrics(row)
    status = 1
    try:
        yield on_metrics
        status = 0
    finally:
        with contextlib.suppress(Exception):  # the rows are in metrics.jsonl
            run.finish(exit_code=status)


def _id_of(folder: Path) -> str:
    """Returns the id in the folder, or a new one, which it then keeps."""
    file = folder / _ID
    with contextlib.suppress(FileNotFoundError):
        if stored := file.read_text(encoding="utf-8").strip():
            return stored
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(secrets.token_hex(8), encoding="utf-8")
    return file.read_text(encoding="utf-8")
