"""Draws many examples from a finished run, in bounded memory: into a `.npz` file, or a folder of PNG files.

genjax-models draw runs/demo --n 50000 --to draws.npz

Both forms are data that `--data` and `gx.load` take: images as bytes, with the class of each if the model has classes.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from genjax_models.commands.sample import labels_of, sampler_of
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive, seed_in_range, whole
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np

    from genjax_models.runs.loading import LoadedRun


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

    def __post_init__(self):
        whole(1, n=self.n, block=self.block)
        if self.truncation is not None:
            positive(truncation=self.truncation)
        seed_in_range(self.seed)
        if self.to.suffix == ".npz":
            check_output(self.to, ".npz", "--to")
        elif self.to.exists() or self.to.is_symlink():
            raise InputError(f"--to {self.to}: is there already. Name a .npz file, or a folder that is not there yet")


def draw(options: Draw) -> Path:
    """Writes the examples, whole or not at all, and returns where they are.

    Raises:
      InputError: no run is there, the model cannot draw so, a folder is asked of data that are no images, or the files
        cannot be written.
    """
    from genjax_models.figures import pictures
    from genjax_models.runs.loading import load_run

    run = load_run(options.run, options.checkpoint)
    images = pictures.drawable(run.config.data.shape)
    archive = options.to.suffix == ".npz"
    if not archive and not images:
        raise InputError(f"{options.run}: PNG files need images, got examples of shape {run.config.data.shape}")
    write = _write_archive if archive else _write_folder
    try:
        options.to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=options.to.parent) as folder:  # of one file system, for the renaming
            partial = Path(folder) / "partial"
            write(partial, options, blocks(run, options, images), classes(run, options))
            os.replace(partial, options.to)
    except OSError as error:
        raise InputError(f"--to {options.to}: cannot be written ({error.strerror})") from error
    return options.to


def classes(run: LoadedRun, options: Draw) -> np.ndarray | None:
    """Returns the class of each example, `[n]`; None if the model is not conditional."""
    return labels_of(options, run.config.data.classes).get("label")


def blocks(run: LoadedRun, options: Draw, images: bool) -> Iterator[np.ndarray]:
    """Yields blocks of examples `[block, *shape]`: images as bytes, others as float32.

    Block i draws from `fold_in(key, i)`, so that the examples depend on the size of the blocks.
    """
    import jax
    import numpy as np
    from tqdm import tqdm

    sampler, given = sampler_of(run, options)
    label = classes(run, options)
    low, high = run.system.range

    @jax.jit
    def drawn(players: Any, key: Any, label: Any):
        own = {} if label is None else {"label": label}
        x = sampler(players, key, options.block, **{**given, **own})
        return jax.numpy.round(jax.numpy.clip((x - low) / (high - low), 0, 1) * 255).astype("uint8") if images else x

    for i, start in enumerate(tqdm(range(0, options.n, options.block), unit="block", leave=False)):
        size = min(options.block, options.n - start)
        own = None if label is None else np.resize(label[start : start + size], options.block)
        yield np.asarray(drawn(run.players, jax.random.fold_in(jax.random.key(options.seed), i), own))[:size]


def _write_archive(path: Path, options: Draw, parts: Iterator[np.ndarray], label: np.ndarray | None) -> None:
    import numpy as np

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("x.npy", mode="w", force_zip64=True) as file:
            for i, part in enumerate(parts):
                if i == 0:
                    header = {"descr": part.dtype.str, "fortran_order": False, "shape": (options.n, *part.shape[1:])}
                    np.lib.format.write_array_header_2_0(file, header)
                file.write(np.ascontiguousarray(part).tobytes())
        if label is not None:
            with archive.open("y.npy", mode="w") as file:
                np.lib.format.write_array(file, label.astype(np.int32))


def _write_folder(path: Path, options: Draw, parts: Iterator[np.ndarray], label: np.ndarray | None) -> None:
    from PIL import Image

    path.mkdir()
    digits, names = len(str(options.n - 1)), []
    for part in parts:
        for image in part:
            names.append(f"{len(names):0{digits}}.png")
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path / names[-1])
    if label is not None:
        rows = "".join(f"{name},{value}\n" for name, value in zip(names, label, strict=True))
        (path / "labels.csv").write_text(rows, encoding="utf-8")


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models draw") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(draw(parse(Draw, arguments, program, Draw.__doc__)))
    return 0
