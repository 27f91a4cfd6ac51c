"""Draws the pictures of a trained model that the package ships, as the report of its run had them.

python -m experiments.studies.draw_pretrained rivers_vae --to runs/rivers_vae

rivers_vae: latent 5 is the grass, R^2 0.91 +- 0.01; latent 1 reads where the river starts, 0.35 +- 0.03. 64 x 64,
weight 40 of the KL, 3,000 steps, one seed, 1,000 test images. The drawing takes 2 minutes next to other work.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import write_output


@dataclasses.dataclass(frozen=True)
class DrawPretrained:
    """Draw the pictures of a trained model that the package ships."""

    name: tyro.conf.Positional[str]
    """digits_vae, digits_gan, chairs or rivers_vae."""
    to: Path
    """Folder of the pictures."""


def draw(options: DrawPretrained) -> list[Path]:
    """Writes the pictures and films into the folder, and returns their paths.

    Raises:
      InputError: no model has this name, or the folder cannot be written.
    """
    import genjax_models as gx

    run = gx.pretrained(options.name)
    _, dataset = run.config.load()
    _, shown = run.system.figures(run.players, run.system.prepare(dataset))
    files = {options.to / name: content for picture in shown for name, content in picture.files.items()}
    for path, content in files.items():
        write_output(path, content)
    return list(files)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draws, and prints the paths. Returns the exit status."""
    program = "python -m experiments.studies.draw_pretrained"
    with exit_on_error():
        print(*draw(parse(DrawPretrained, arguments, program, DrawPretrained.__doc__)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
