"""Reconstructs data by a finished run whose model has an encoder: into a `.npz` file, or a folder of PNG files.

genjax-models reconstruct runs/vae16 --data photos/ --to reconstructed.npz

The data are prepared as in training. The file has `x`, and `y` if the data have labels. Row i, or PNG file i, is the
reconstruction of example i of the data: of a folder, image i in the order of classes and names. Data with splits have
`x_train`, `x_validation`, `x_test` and so on, as the run's own data have; a folder has a folder for each split, each in
the order of `gx.load`. A picture shows images above their reconstructions.

Both forms are data that `--data` and `gx.load` take, in the form of `draw`. Examples are computed in blocks, so that
streamed data need not fit into memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from genjax_models.commands.example_files import (
    Examples,
    Form,
    check_images,
    check_place,
    form_of,
    pairs_beside,
    write_examples,
)
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.systems.file_options import FileOptions

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array, Batch, Players

_PAIRS = 10  # in the picture


@dataclasses.dataclass(frozen=True)
class Reconstruct:
    """Reconstruct data by a finished run whose model has an encoder."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    to: Path
    """A .npz file, or a folder that does not exist yet, for PNG files."""
    data: str | None = None
    """Other data, prepared as in training. Default: the data of the run."""
    files: FileOptions = FileOptions()
    split: Literal["all", "train", "validation", "test"] = "all"
    """Split to reconstruct. all: every split, or all examples of --data without splits. One split alone has no name in
    the file, and no folder of its own."""
    at: Literal["mean", "draw"] = "mean"
    """Latent that is decoded: the mean of q(z | x), or a draw of it."""
    seed: int = 0
    """Random seed of draws, in [0, 2^32)."""
    picture: Path | None = None
    """A PNG file for images above their reconstructions. Default, for images: NAME_pairs.png beside NAME."""
    overwrite: bool = False
    """Replace the .npz file and the picture if they exist."""
    block: int = 500
    """Number of examples in memory at once."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""

    def __post_init__(self):
        self.files.need_data(self.data)
        seed_in_range(self.seed)
        whole(1, block=self.block)
        check_place(self.to, overwrite=self.overwrite)
        check_output(self.picture or pairs_beside(self.to), ".png", "--picture", overwrite=self.overwrite)


def reconstruct(options: Reconstruct) -> tuple[list[Path], str]:
    """Writes the reconstructions, whole or not at all, and the picture. Returns where they are, and a note on values.

    Raises:
      InputError: no run is there, its model has no encoder, data do not fit, or files cannot be written.
    """
    import jax
    import numpy as np
    from tqdm import tqdm

    from genjax_models.commands.encoders import block_size, blocks_of, data_of
    from genjax_models.figures import plots
    from genjax_models.runs.loading import load_run

    run = load_run(options.run, options.checkpoint, data=False)
    function = _reconstruction_of(run, options)
    images = check_images(options.to, options.run, run.config.data.shape)
    if options.picture and not images:
        raise InputError(f"{options.run}: --picture needs images, got examples of shape {run.config.data.shape}")
    every, labels = options.split == "all", bool(run.config.data.classes)
    data, splits = data_of(run, options.data, options.files, labels=labels, whole=every)
    form = form_of(options.to, run) if images else None
    compiled = jax.jit(lambda *inputs: form.finish(function(*inputs)) if form else function(*inputs))

    def blocks(split: str) -> Iterator[tuple[Batch, np.ndarray]]:
        for first, n, batch in blocks_of(data, split, block_size(data, options.block)):
            yield batch, np.asarray(compiled(run.players, first, batch))[:n]

    def examples(split: str) -> Examples:
        label = getattr(data, split).label
        made = (made for _, made in tqdm(blocks(split), desc=split, unit="block", leave=False, disable=None))
        return Examples(len(getattr(data, split).x), made, None if label is None else np.asarray(label))

    chosen = splits if every else {"": options.split}
    write_examples(options.to, {name: examples(split) for name, split in chosen.items()})
    if form is None:
        return [options.to], ""
    picture = options.picture or pairs_beside(options.to)
    write_output(picture, plots.png(_pairs(*next(blocks("test")), form, run.system.range)), "--picture")
    return [options.to, picture], form.note


def _pairs(batch: Batch, made: np.ndarray, form: Form, range: tuple[float, float]) -> Figure:
    """Draws examples in this range above their reconstructions, which are in the form of a file."""
    from genjax_models.figures import plots

    unit = (made - form.range[0]) / (form.range[1] - form.range[0])
    made = range[0] + unit * (range[1] - range[0])
    return plots.reconstructions(batch.x[: len(made)], made, pairs=_PAIRS, range=range)


def _reconstruction_of(run: LoadedRun, options: Reconstruct) -> Callable[[Players, int | Array, Batch], Array]:
    """Returns (players, index of the first example, batch) -> reconstructions, which may be jitted.

    Example i draws from `fold_in(key, i)`, so that no draw depends on the size of the blocks.

    Raises:
      InputError: no player has an encoder, or it has no q(z | x) to draw from.
    """
    import jax
    import jax.numpy as jnp

    from genjax_models.commands.encoders import label_of
    from genjax_models.evaluation.examples import map_examples
    from genjax_models.evaluation.latents import codes_by_layer
    from genjax_models.models import AutoencoderModel, LatentVariableModel

    model, of_system = run.model, run.system.reconstruct
    if not isinstance(model, LatentVariableModel):
        if of_system is None and not isinstance(model, AutoencoderModel):
            raise InputError(
                f"{options.run}: needs a model with an encoder, such as a run of experiments.vae or"
                " experiments.autoencoder"
            )
        if options.at == "draw":
            raise InputError(f"{options.run}: --at draw needs q(z | x), and this encoder is a function. Use --at mean")
        if of_system is not None:
            return lambda players, first, batch: of_system(players, batch)

        def of_autoencoder(players: Players, first: int | Array, batch: Batch) -> Array:
            variables = run._replace(players=players).variables
            return model.generate(variables, model.encode(variables, batch.x))

        return of_autoencoder
    latent_key, data_key = jax.random.split(jax.random.key(options.seed))

    def of_batch(players: Players, first: int | Array, batch: Batch) -> Array:
        variables = run._replace(players=players).variables
        label, z = label_of(run, batch), None
        if options.at == "mean":
            layers = codes_by_layer(model, variables, latent_key, batch.x, label=label, first=first)
            z = layers[0].mean if len(layers) == 1 else tuple(layer.mean for layer in layers)

        def decoded(_, example):
            index, z, x, label = jax.tree.map(lambda a: a[None], example)
            if z is None:
                z = model.posterior(variables, x, label).sample(seed=jax.random.fold_in(latent_key, index[0]))
            return model.shown(variables, jax.random.fold_in(data_key, index[0]), z, label)[0]

        examples = jnp.arange(len(batch.x)) + first, z, batch.x, label
        return map_examples(decoded, latent_key, examples, batch_size=min(options.block, 100))

    return of_batch


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models reconstruct") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        paths, note = reconstruct(parse(Reconstruct, arguments, program, Reconstruct.__doc__))
        print(*filter(None, (note, *paths)), sep="\n")
    return 0
