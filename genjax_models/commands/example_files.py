"""Many examples as a `.npz` file or a folder of PNG files, in bounded memory; `--data` and `gx.load` take both."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genjax_models.errors import InputError
from genjax_models.runs.output_files import check_output

if TYPE_CHECKING:
    import numpy as np

    from genjax_models.types import Array


class Examples(NamedTuple):
    """Examples to write: their number, the blocks in their order, and the class of each, if known."""

    n: int
    blocks: Iterable[np.ndarray]
    label: np.ndarray | None = None


def check_place(to: Path) -> None:
    """Refuses a place that is neither a .npz file nor a new folder.

    Raises:
      InputError: names the place.
    """
    if to.suffix == ".npz":
        check_output(to, ".npz")
    elif to.exists() or to.is_symlink():
        raise InputError(f"--to {to}: is there already. Name a .npz file, or a folder that is not there yet")


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
