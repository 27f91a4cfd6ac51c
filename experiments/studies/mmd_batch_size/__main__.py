"""The command `python -m experiments.studies.mmd_batch_size`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments.studies.mmd_batch_size.options import MMDBatchSize
from genjax_models.runs.command_line import run_study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def report(options: MMDBatchSize) -> tuple[Figure, str]:
    """Returns the picture and the table."""
    from experiments.studies.mmd_batch_size.measurement import measure, table
    from experiments.studies.mmd_batch_size.picture import picture

    measured = measure(options)
    return picture(options, measured), table(options, measured)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    return run_study("experiments.studies.mmd_batch_size", MMDBatchSize, report, arguments)


if __name__ == "__main__":
    sys.exit(main())
