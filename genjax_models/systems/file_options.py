"""How data in files are read: flags of every command that takes other data. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from genjax_models.errors import InputError

flag = tyro.conf.arg
_OF_FILES, _OF_IMAGES = ("range", "kind", "keys"), ("range", "image_channels", "skip_unreadable")


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """How data in files are read."""

    range: Annotated[tuple[float, float] | None, flag(name="data-range")] = None
    """Lowest and highest stored value of a data file. Default: 0 255 for uint8, 0 1 for bool and floating point."""
    kind: Annotated[Literal["images", "vectors", "sequences"] | None, flag(name="data-kind")] = None
    """Kind of data in a file; needed for arrays [n, a, b], which may be grey images or sequences."""
    keys: Annotated[tuple[str, ...], flag(name="data-keys")] = ()
    """Names of the arrays in a .npz or the columns of hf:PATH, such as x=pixels y=digit; y=species is the column of
    labels of a table."""
    image_channels: Literal[1, 3] | None = None
    """Channels of images of a folder or of hf:PATH: 1 makes them grey, 3 coloured. None: grey if all files are grey."""
    skip_unreadable: bool = False
    """Skip files that cannot be decoded (one file, or at most 1% of them) and count them in a warning."""

    def __post_init__(self):
        for pair in self.keys:
            if not re.fullmatch(r"[^=]+=.+", pair):
                raise InputError(f"data-keys must be pairs such as x=pixels, got {pair!r}")

    @property
    def given(self) -> dict[str, Any]:
        """The options with a value of their own, by the names of their fields."""
        options = {field.name: getattr(self, field.name) for field in dataclasses.fields(FileOptions)}
        return {name: value for name, value in options.items() if value not in (None, (), False)}

    def need_data(self, data: str | None) -> None:
        """Refuses options without other data that they could be of.

        Raises:
          InputError: names the flags.
        """
        if self.given and data is None:
            raise InputError(f"{flags(self.given)}: give --data too, since the data of the run are read as in training")

    def taken_by(self, name: str) -> dict[str, Any]:
        """Returns the given options that data of this name take; data sets with a name of their own take none."""
        if name.startswith("hf:"):
            taken = (*_OF_IMAGES, "keys")
        elif name.startswith("images:") or Path(name).expanduser().is_dir():
            taken = _OF_IMAGES
        else:
            taken = _OF_FILES if Path(name).expanduser().is_file() else ()
        return {option: value for option, value in self.given.items() if option in taken}


def flags(options: dict[str, Any]) -> str:
    """Returns the flags of these options, for errors."""
    names = {"range": "data-range", "kind": "data-kind", "keys": "data-keys"}
    return ", ".join(f"--{names.get(option, option.replace('_', '-'))}" for option in options)
