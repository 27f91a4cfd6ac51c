"""The command `python -m experiments.studies.mmd_batch_size`."""

import sys
from collections.abc import Sequence

from experiments.studies.mmd_batch_size.options import MMDBatchSize
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import write_output


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, draws and prints. Returns the exit status."""
    with exit_on_error():
        options = parse(MMDBatchSize, arguments, "python -m experiments.studies.mmd_batch_size", MMDBatchSize.__doc__)
        from experiments.studies.mmd_batch_size.measurement import measure, table
        from experiments.studies.mmd_batch_size.picture import picture
        from genjax_models.figures import plots

        measured = measure(options)
        write_output(options.to, plots.png(picture(options, measured)))
        print(table(options, measured))
        print(options.to)
    return 0


if __name__ == "__main__":
    sys.exit(main())
