"""Many examples as a `.npz` file or a folder of PNG files, in bounded memory; `--data` and `gx.load` take both."""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genjax_models.errors import InputError
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np

    from genjax_models.runs.loading import LoadedRun
    from genjax_models.types import Array


class Examples(NamedTuple):
    """Examples to write: their number, the blocks in their order, and the class of each, if known."""

    n: int
    blocks: Iterable[np.ndarray]
    label: np.ndarray | None = None


def check_place(to: Path, *, overwrite: bool) -> None:
    """Refuses a place that is neither a .npz file nor a new folder, such as draws.png.

    Without `overwrite` the file must be new too.

    Raises:
      InputError: names the place.
    """
    if to.suffix == ".npz":
        check_output(to, ".npz", overwrite=overwrite)
    elif to.exists() or to.is_symlink():
        raise InputError(f"--to {to}: is there already. Name a .npz file, or a folder that is not there yet")
    elif re.match(r"\.[a-z]", to.suffix, re.IGNORECASE):  # numbers, as in draws_0.7, are no suffix
        raise InputError(f"--to {to}: must end in .npz, or name a folder, without a suffix")


def pairs_beside(to: Path) -> Path:
    """Returns the default place of a picture of examples above their reconstructions."""
    return to.with_name(f"{to.name.removesuffix('.npz')}_pairs.png")


def check_images(to: Path, run: Path, shape: tuple[int, ...]) -> bool:
    """Returns whether examples of this shape are images; refuses a folder for others.

    Raises:
      InputError: names the run and the shape.
    """
    from genjax_models.figures import pictures

    images = pictures.drawable(shape)
    if to.suffix != ".npz" and not images:
        raise InputError(f"{run}: PNG files need images, got examples of shape {shape}")
    return images


def as_bytes(x: Array, range: tuple[float, float]) -> Array:
    """Returns images in this range as bytes; pure, and may be jitted."""
    import jax.numpy as jnp

    low, high = range
    return jnp.round(jnp.clip((x - low) / (high - low), 0, 1) * 255).astype("uint8")


class Form(NamedTuple):
    """What becomes of images: a function that may be jitted, the lowest and highest value in the file, and a note."""

    finish: Callable[[Array], Array]
    range: tuple[float, float]
    note: str = ""


def form_of(to: Path, run: LoadedRun) -> Form:
    """Returns the form of images in `to`.

    Images of 8-bit data are bytes. Of other data a .npz has float32 in the units of the data, which may leave their
    range; PNG files are bytes, clipped to that range.
    """
    model, values = run.system.range, float_range(run)
    to_bytes = partial(as_bytes, range=model)
    if values is None:
        return Form(to_bytes, (0, 255))
    low, high = values
    if to.suffix != ".npz":
        return Form(to_bytes, (0, 255), f"PNG files have 8 bits: values are clipped to [{low:g}, {high:g}]")

    def in_units(x: Array) -> Array:
        return ((x - model[0]) / (model[1] - model[0]) * (high - low) + low).astype("float32")

    note = f"float32 in the units of the data, whose range is [{low:g}, {high:g}]; values are not clipped"
    return Form(in_units, (low, high), note)


def float_range(run: LoadedRun) -> tuple[float, float] | None:
    """Returns the range of the run's data as stored, if they are no 8-bit data; None if they are.

    Older runs did not record the type. Theirs are floats if --data-range is neither 0 255 nor 0 1.
    """
    if run.stored:
        return None if run.stored["type"] in ("uint8", "bool") else tuple(run.stored["range"])
    given = getattr(run.config.data, "range", None)
    return None if given is None or tuple(given) in ((0, 255), (0, 1)) else tuple(given)


def write_examples(to: Path, splits: Mapping[str, Examples]) -> None:
    """Writes the examples, whole or not at all. An only split may have the name "".

    The file has `x` and `y`, or `x_NAME` and `y_NAME` for each split. A folder has PNG files and `labels.csv`, or a
    folder of these for each split.

    Raises:
      InputError: they cannot be written, or they are not as many as `Examples.n`.
    """
    write = _write_archive if to.suffix == ".npz" else _write_folders
    splits = {name: examples._replace(blocks=_counted(to, examples)) for name, examples in splits.items()}
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=to.parent) as folder:  # of one file system, for the renaming
            partial = Path(folder) / "partial"
            write(partial, splits)
            os.replace(partial, to)
    except OSError as error:
        raise InputError(f"--to {to}: cannot be written ({error.strerror})") from error


def _counted(to: Path, examples: Examples) -> Iterator[np.ndarray]:
    """Yields the blocks; raises InputError if they do not hold as many examples as the file says."""
    written = 0
    for block in examples.blocks:
        written += len(block)
        yield block
    if written != examples.n:
        raise InputError(f"--to {to}: needs {examples.n} examples, and the model made {written}")


def _write_archive(path: Path, splits: Mapping[str, Examples]) -> None:
    import numpy as np

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, examples in splits.items():
            end = f"_{name}" if name else ""
            with archive.open(f"x{end}.npy", mode="w", force_zip64=True) as file:
                for i, block in enumerate(examples.blocks):
                    if i == 0:
                        header: dict[str, Any] = {"descr": block.dtype.str, "fortran_order": False}
                        header["shape"] = (examples.n, *block.shape[1:])
                        np.lib.format.write_array_header_2_0(file, header)
                    file.write(np.ascontiguousarray(block).tobytes())
            if examples.label is not None:
                with archive.open(f"y{end}.npy", mode="w") as file:
                    np.lib.format.write_array(file, examples.label.astype(np.int32))


def _write_folders(path: Path, splits: Mapping[str, Examples]) -> None:
    path.mkdir()
    for name, examples in splits.items():
        _write_folder(path / name, examples)


def _write_folder(path: Path, examples: Examples) -> None:
    from PIL import Image

    path.mkdir(exist_ok=True)
    digits, names = len(str(examples.n - 1)), []
    for block in examples.blocks:
        for image in block:
            names.append(f"{len(names):0{digits}}.png")
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path / names[-1])
    if examples.label is not None:
        rows = "".join(f"{name},{value}\n" for name, value in zip(names, examples.label, strict=True))
        (path / "labels.csv").write_text(rows, encoding="utf-8")
