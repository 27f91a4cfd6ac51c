"""Encodes data by a finished run: posterior means of z into a `.npz`, and reconstructions into a picture.

genjax-models encode runs/vae16 --data mine.npz --out codes.npz

The file has `x_train`, `x_validation` and `x_test`, `[n, latent]`, and `y_...` if the data have labels. `--data` and
`gx.load` take it as vectors, with a range: `gx.load("codes.npz", range=(-6, 6))`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import check_output, write_output

_PAIRS = 10  # reconstructions in the picture


@dataclasses.dataclass(frozen=True)
class Encode:
    """Encode data by a finished run whose model has q(z | x): posterior means, and a picture of reconstructions."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    data: str | None = None
    """Other data, prepared as in training. Default: the data of the run."""
    out: Path = Path("codes.npz")
    """A .npz file for the codes of each split."""
    picture: Path | None = None
    """A PNG file for test images above their reconstructions. Default: none."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        check_output(self.out, ".npz")
        check_output(self.picture, ".png", "--picture")


def encode(options: Encode) -> dict[str, tuple[int, ...]]:
    """Writes the codes, and the picture if one is asked for. Returns the shapes of the arrays in the file.

    Raises:
      InputError: no run is there, its model has no encoder, or data or files do not fit.
    """
    import jax
    import numpy as np

    from genjax_models.commands.encoders import label_of, load_encoder_run, posterior_means
    from genjax_models.data.records import Records
    from genjax_models.figures import pictures, plots

    run = load_encoder_run(options.run, options.checkpoint, data=options.data)
    if options.picture and not pictures.drawable(run.config.data.shape):
        raise InputError(f"{options.run}: --picture needs images, got examples of shape {run.config.data.shape}")
    if isinstance(run.data.train.x, Records):
        raise InputError(f"{options.run}: encode needs training data in memory, and this run streams them")
    train = run.data.training_examples(slice(None))
    arrays = {}
    for name, split in (("train", train), ("validation", run.data.validation), ("test", run.data.test)):
        arrays[f"x_{name}"] = np.asarray(posterior_means(run, split))
        if split.label is not None:
            arrays[f"y_{name}"] = np.asarray(split.label)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_output(options.out, buffer.getvalue())
    if options.picture:
        few = jax.tree.map(lambda a: a[:_PAIRS], run.data.test)
        label = label_of(run, few)
        z = run.model.posterior(run.variables, few.x, label).sample(seed=jax.random.key(0))
        shown = run.model.shown(run.variables, jax.random.key(1), z, label)
        write_output(options.picture, plots.png(plots.reconstructions(few.x, shown, range=run.system.range)))
    return {name: array.shape for name, array in arrays.items()}


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models encode") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(Encode, arguments, program, Encode.__doc__)
        shapes = encode(options)
        print(f"{options.out}: {', '.join(f'{name} {list(shape)}' for name, shape in shapes.items())}")
        if options.picture:
            print(options.picture)
    return 0
