"""The command `python -m experiments.studies.bilinear_game`."""

import sys
from collections.abc import Sequence

from experiments.studies.bilinear_game.measurement import BilinearGame, Comparison, measure, play
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import write_output


def table(rows: Sequence[Comparison]) -> str:
    """Returns a line per quantity: its exact value, and its least and largest value."""
    lines = [f"{'':15s}{'':32s}{'exact':>10s}{'least':>14s}{'largest':>14s}"]
    lines += [f"{r.method:15s}{r.quantity:32s}{r.exact:>10.6f}{r.least:>14.6f}{r.largest:>14.6f}" for r in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays, draws and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(BilinearGame, arguments, "python -m experiments.studies.bilinear_game", BilinearGame.__doc__)
        orbits = play(options)
        from experiments.studies.bilinear_game.picture import picture
        from genjax_models.figures import plots

        write_output(options.to, plots.png(picture(options, orbits)))
        print(table(measure(options, orbits)))
        print(options.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
