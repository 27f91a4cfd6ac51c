"""The command `python -m experiments.studies.bilinear_game`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.studies.bilinear_game.measurement import BilinearGame, Comparison, measure, play
from genjax_models.runs.command_line import run_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(rows: Sequence[Comparison]) -> str:
    """Returns a line per quantity: its exact value, and its least and largest value."""
    lines = [f"{'':15s}{'':32s}{'exact':>10s}{'least':>14s}{'largest':>14s}"]
    lines += [f"{r.method:15s}{r.quantity:32s}{r.exact:>10.6f}{r.least:>14.6f}{r.largest:>14.6f}" for r in rows]
    return "\n".join(lines)


def report(options: BilinearGame) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    from experiments.studies.bilinear_game.picture import picture

    orbits = play(options)
    return picture(options, orbits), table(measure(options, orbits))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.bilinear_game", BilinearGame, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
