"""Says what a data set is, before one trains on it.

genjax-models data photos/
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import check_output, write_output
from genjax_models.systems.settings import Data

if TYPE_CHECKING:
    from genjax_models.data import Dataset

_SHOWN = 10  # images in a row of the contact sheet, and its largest number of rows


@dataclasses.dataclass(frozen=True)
class Look(Data):
    """Say what a data set is: kind, sizes, ranges, classes, factors, copies, files left out. Draw some images, and name
    the command that trains."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")] = dataclasses.field(kw_only=False)
    """A name such as mnist10k or chairs, a file, a folder, tfds:NAME[:SPLIT] or hf:PATH[:SPLIT]."""
    to: Path | None = None
    """PNG file of the contact sheet. Default: NAME-contact-sheet.png here."""
    overwrite: bool = False
    """Replace the file of --to if it exists."""

    def __post_init__(self):
        super().__post_init__()
        check_output(self.to, ".png", overwrite=self.overwrite)


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models data") -> int:
    """Prints rows of name and text. Returns 0, or exits with 2 and one line if training would refuse the data."""
    with exit_on_error():
        arguments = sys.argv[1:] if arguments is None else arguments
        options = parse(Look, arguments, program, Look.__doc__)
        from genjax_models.data.description import description
        from genjax_models.data.idx import holds_idx
        from genjax_models.data.survey import survey_of_folder, survey_of_values

        folder = Path(options.name.removeprefix("images:")).expanduser()
        if folder.is_dir() and not holds_idx(folder):
            _show(survey_of_folder(folder))
        _, dataset = options.load()
        _show([*description(dataset), *survey_of_values(dataset), *_contact_sheet(options, dataset)])
        _show([("next", _training(options, arguments, dataset))])
    return 0


def _show(rows: Sequence[tuple[str, str]]) -> None:
    for name, text in rows:
        print(f"{name:12}{text}")


def _training(options: Look, arguments: Sequence[str], dataset: Dataset) -> str:
    """Returns the command that trains a model on these data, with the flags that were given."""
    experiment = "vrnn" if dataset.kind == "sequences" else "vae"
    given = [argument for argument in arguments if argument != options.name and not argument.startswith("--to=")]
    if "--to" in given:
        place = given.index("--to")
        del given[place : place + 2]
    return shlex.join(["python", "-m", f"experiments.{experiment}", "--data", options.name, *given])


def _contact_sheet(options: Look, dataset: Dataset) -> list[tuple[str, str]]:
    """Writes the first images of each class of training, or the first of all, and returns the row of its path."""
    import numpy as np

    from genjax_models.figures import pictures, plots
    from genjax_models.figures.transparency import on_white

    has_alpha = dataset.kind == "images" and dataset.shape[2] == 4
    if not (has_alpha or (dataset.kind == "images" and pictures.drawable(dataset.shape))):
        return []
    train, names = dataset.train, dataset.class_names
    classes = range(min(dataset.num_classes or 0, _SHOWN))
    rows = [np.flatnonzero(train.label == number)[:_SHOWN] for number in classes] or [np.arange(_SHOWN**2)]
    rows = [row[row < len(train.x)] for row in rows]
    titles = [names[number] if names else str(number) for number in classes if len(rows[number])]
    blank = np.full((_SHOWN if titles else 0, *dataset.shape), dataset.range[1], np.float32)  # fills short rows
    shown = [np.concatenate([np.asarray(train.x[row]), blank[len(row) :]]) for row in rows if len(row)]
    out = options.to or Path(f"{Path(dataset.name.replace(':', '-')).name}-contact-sheet.png")
    images = np.concatenate(shown)
    images = on_white(images, dataset.range[1]) if has_alpha else images
    grid = {"titles": titles, "heading": f"Training images of {Path(dataset.name).name}"}
    figure = plots.image_grid(images, columns=_SHOWN, range=dataset.range, **grid)
    check_output(out, ".png")  # the default may be another file
    write_output(out, plots.png(figure))
    return [("sheet", str(out))]
