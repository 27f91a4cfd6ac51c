"""Encodes data by a finished run: means and standard deviations of q(z | x) into a `.npz`; and a picture.

genjax-models encode runs/vae16 --data mine.npz --to codes.npz

The file has the means `x` `[n, latent]`, the standard deviations `sd` of the same shape, and `y` if the data have
labels. Row i is example i of the data: of a folder, image i in the order of classes and names. Data with splits have
`x_train`, `x_validation`, `x_test`, `sd_train` and so on, as the run's own data have.

Layers and steps of z are concatenated. A moment without a closed form is an estimate from 100 draws of q. `--data` and
`gx.load` take the means as vectors, with a range: `gx.load("codes.npz", range=(-6, 6))`. Examples are encoded in
blocks: streamed data need not fit into memory.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from genjax_models.commands.example_files import pairs_beside
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.systems.file_options import FileOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array, Variables

_PAIRS = 10  # reconstructions in the picture
_BLOCK = 500  # examples in memory at once


@dataclasses.dataclass(frozen=True)
class Encode:
    """Encode data by a finished run whose model has q(z | x): its means and standard deviations."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    data: str | None = None
    """Other data, prepared as in training. Default: the data of the run."""
    files: FileOptions = FileOptions()
    to: Path = Path("codes.npz")
    """A .npz file for the codes."""
    picture: Path | None = None
    """A PNG file for images above their reconstructions. Default, for images: NAME_pairs.png beside NAME."""
    overwrite: bool = False
    """Replace the files if they exist."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        self.files.need_data(self.data)
        check_output(self.to, ".npz", overwrite=self.overwrite)
        check_output(self.picture or pairs_beside(self.to), ".png", "--picture", overwrite=self.overwrite)


def encode(options: Encode) -> tuple[dict[str, tuple[int, ...]], Path | None]:
    """Writes the codes, and a picture of images. Returns the shapes of the arrays in the file, and the picture.

    Raises:
      InputError: no run is there, its model has no encoder, or data or files do not fit.
    """
    import jax
    import numpy as np

    from genjax_models.commands.encoders import block_size, blocks_of, data_of, label_of, load_encoder_run
    from genjax_models.evaluation.latents import codes_by_layer
    from genjax_models.figures import pictures, plots

    run = load_encoder_run(options.run, options.checkpoint, data=False)
    images = pictures.drawable(run.config.data.shape)
    if options.picture and not images:
        raise InputError(f"{options.run}: --picture needs images, got examples of shape {run.config.data.shape}")

    data, splits = data_of(run, options.data, options.files, labels=bool(run.config.data.classes))

    @jax.jit
    def encoded(variables: Variables, first: Array, x: Array, label: Array | None) -> tuple[Array, Array]:
        layers = codes_by_layer(run.model, variables, jax.random.key(0), x, label=label, first=first)
        joined = lambda parts: jax.numpy.concatenate([part.reshape(len(x), -1) for part in parts], axis=-1)
        return joined([layer.mean for layer in layers]), joined([layer.deviation for layer in layers])

    arrays = {}
    for name, split in splits.items():
        codes, end = [], f"_{name}" if name else ""
        for first, n, batch in blocks_of(data, split, block_size(data, _BLOCK)):
            moments = encoded(run.variables, first, batch.x, label_of(run, batch))
            codes.append([np.asarray(moment)[:n] for moment in moments])
        arrays[f"x{end}"], arrays[f"sd{end}"] = (np.concatenate(parts) for parts in zip(*codes, strict=True))
        label = getattr(data, split).label
        if label is not None:
            arrays[f"y{end}"] = np.asarray(label)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_output(options.to, buffer.getvalue())
    picture = (options.picture or pairs_beside(options.to)) if images else None
    if picture:
        write_output(picture, plots.png(_pairs(run._replace(data=data))), "--picture")
    return {name: array.shape for name, array in arrays.items()}, picture


def _pairs(run: LoadedRun) -> Figure:
    """Draws images above decoded draws of q(z | x)."""
    import jax

    from genjax_models.commands.encoders import label_of
    from genjax_models.figures import plots

    few = jax.tree.map(lambda a: a[:_PAIRS], run.data.test)
    label = label_of(run, few)
    z = run.model.posterior(run.variables, few.x, label).sample(seed=jax.random.key(0))
    shown = run.model.shown(run.variables, jax.random.key(1), z, label)
    return plots.reconstructions(few.x, shown, range=run.system.range)


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models encode") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        options = parse(Encode, arguments, program, Encode.__doc__)
        shapes, picture = encode(options)
        print(f"{options.to}: {', '.join(f'{name} {list(shape)}' for name, shape in shapes.items())}")
        if picture:
            print(picture)
    return 0
