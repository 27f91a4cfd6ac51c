"""Compares runs on one page: settings, curves, results with errors, pictures.

genjax-models compare runs/vae2 runs/vae16
genjax-models compare runs/sweep-* --out sweep.html

Runs that differ only in their seed form a group. The page shows the mean and the range of their curves, and the mean
and the standard deviation of their results. It says which runs have not finished. A run may belong to any experiment.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import check_output, write_output


@dataclasses.dataclass(frozen=True)
class Compare:
    """Write one page that compares runs."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of the runs; of several members, the directory of each."""
    out: Path = Path("comparison.html")
    """File of the page."""
    overwrite: bool = False
    """Replace the file if it exists."""


def compare(options: Compare) -> Path:
    """Writes the page, and returns its path.

    Raises:
      InputError: a run cannot be read, or the page cannot be written.
    """
    _check(options)
    from genjax_models.reports.comparison import render_comparison
    from genjax_models.reports.stored_run import read_run
    from genjax_models.runs.loading import experiment_of

    experiments, names = map(experiment_of, options.runs), _names(options.runs)
    page = render_comparison([read_run(*run) for run in zip(options.runs, experiments, names, strict=True)])
    write_output(options.out, page.encode("utf-8", "backslashreplace"))
    return options.out


def _check(options: Compare) -> None:
    """Checks the options before runs are read."""
    if not options.runs:
        raise InputError("compare needs at least one run, got none (see --help)")
    locations = [path.resolve() for path in options.runs]
    twice = [location for location, count in Counter(locations).items() if count > 1]
    if repeated := [str(path) for path, location in zip(options.runs, locations, strict=True) if location in twice]:
        raise InputError(f"{' and '.join(repeated)}: is given more than once")
    if options.out.is_file() and not options.overwrite:
        raise InputError(f"--out {options.out}: exists already; name another, or replace it with --overwrite")
    check_output(options.out, ".html")


def _names(paths: Sequence[Path]) -> list[str]:
    """Returns the names of the runs on the page: names of directories, or whole paths if two names are equal."""
    names = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if names[path.resolve().name] == 1 else str(path) for path in paths]


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models compare") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(compare(parse(Compare, arguments, program, Compare.__doc__)))
    return 0
