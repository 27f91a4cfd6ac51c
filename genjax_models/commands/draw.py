"""Draws many examples from a finished run, in bounded memory: into a `.npz` file, or a folder of PNG files.

genjax-models draw runs/demo --n 50000 --to draws.npz

Both forms are data that `--data` and `gx.load` take, with the class of each if the model has classes. Images
of 8-bit data are bytes. Of other data a `.npz` has float32 in the units of the data, not clipped; PNG files are bytes,
clipped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import tyro

from genjax_models.commands.example_files import Examples, check_images, check_place, form_of, write_examples
from genjax_models.commands.sample import at_truncation, labels_of, sampler_of
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole

if TYPE_CHECKING:
    import numpy as np

    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array, PRNGKey


@dataclasses.dataclass(frozen=True)
class Draw:
    """Draw many examples from a finished run into a .npz file or a folder of PNG files."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    to: Path
    """A .npz file (x, and y for classes), or a folder that does not exist yet, for PNG files and labels.csv."""
    n: int = 50_000
    """Number of examples."""
    seed: int = 0
    """Random seed, in [0, 2^32)."""
    label: int | None = None
    """Class of the samples of a conditional model. Default: its classes in turn."""
    truncation: float | None = None
    """Largest size of a number of z: what lies outside is drawn again. For GANs with normal z."""
    show: Literal["images", "draws", "mean"] = "images"
    """images: as in the report (E[x | z] of a VAE). draws: samples of p(x), with the noise of p(x | z). mean: E[x | z];
    an error if the model has none."""
    block: int = 500
    """Number of examples in memory at once."""
    checkpoint: Literal["best", "last"] = "best"
    """Checkpoint: best on held-out data, or last."""
    overwrite: bool = False
    """Replace the .npz file if it exists."""

    def __post_init__(self):
        whole(1, n=self.n, block=self.block)
        if self.truncation is not None:
            positive(truncation=self.truncation)
        seed_in_range(self.seed)
        check_place(self.to, overwrite=self.overwrite)


def draw(options: Draw) -> tuple[Path, str]:
    """Writes the examples, whole or not at all. Returns where they are, and a note on their values.

    Raises:
      InputError: no run is there, the model cannot draw so, a folder is asked of data that are no images, or the files
        cannot be written.
    """
    from genjax_models.runs.loading import load_run

    run = load_run(options.run, options.checkpoint)
    images = check_images(options.to, options.run, run.config.data.shape)
    form = form_of(options.to, run) if images else None
    plan = Blocks(options.n, options.seed, options.block)
    sampler, given = sampler_of(run, options)
    run, label = at_truncation(run, options), classes(run, options)
    drawn = blocks(run, plan, sampler=partial(sampler, **given), label=label, finish=form.finish if form else None)
    write_examples(options.to, {"": Examples(options.n, drawn, label)})
    return options.to, form.note if form else ""


def classes(run: LoadedRun, options: Draw) -> np.ndarray | None:
    """Returns the class of each example, `[n]`; None if the model is not conditional."""
    return labels_of(options, run.config.data.classes).get("label")


class Blocks(NamedTuple):
    """The number of examples, the key or seed of their draws, and the number of examples in memory at once."""

    n: int
    seed: PRNGKey | int
    size: int


def blocks(
    run: LoadedRun,
    plan: Blocks,
    *,
    sampler: Callable,
    label: np.ndarray | None = None,
    finish: Callable[[Array], Array] | None = None,
) -> Iterator[np.ndarray]:
    """Yields blocks of draws of a run, `[size, *shape]`.

    Block i draws from `fold_in(key, i)`, so that the examples depend on the size of the blocks.

    Args:
      run: the run.
      plan: number of draws, seed, and size of a block.
      sampler: a function like `System.draw`.
      label: class of each example, `[n]`; None if the model is not conditional.
      finish: what becomes of a block; it is compiled with the draws. Default: it stays as it is.
    """
    import jax
    import numpy as np
    from tqdm import tqdm

    n, seed, size = plan
    key = jax.random.key(seed) if isinstance(seed, int) else seed

    @jax.jit
    def drawn(players: Any, key: Any, label: Any):
        own = {} if label is None else {"label": label}
        x = sampler(players, key, size, **own)
        return x if finish is None else finish(x)

    for i, start in enumerate(tqdm(range(0, n, size), unit="block", leave=False, disable=None)):
        own = None if label is None else np.resize(label[start : start + size], size)
        yield np.asarray(drawn(run.players, jax.random.fold_in(key, i), own))[: n - start]


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models draw") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        to, note = draw(parse(Draw, arguments, program, Draw.__doc__))
        print(*filter(None, (note, to)), sep="\n")
    return 0
