"""Compares runs on one page: settings, curves, results with errors, pictures.

genjax-models compare runs/vae2 runs/vae16
genjax-models compare runs/seeds runs/other-seeds
genjax-models compare runs/sweep --to sweep.html

Runs that differ only in their seed form a group, and so do the seeds in a folder that --seeds or --sweep has written;
a sweep has a group for each combination of values. The page shows the mean and the range of a group's curves, the mean
of its results with its standard error and 95% interval, and the differences of groups over equal seeds. It says which
runs have not finished. A run may belong to any experiment.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.output_files import check_output, write_output


@dataclasses.dataclass(frozen=True)
class Compare:
    """Write one page that compares runs."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of runs, and of the seeds and sweeps that one command has trained."""
    to: Path = Path("comparison.html")
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

    runs = list(_members(options.runs))
    _check_once([path for path, *_ in runs])
    page = render_comparison([read_run(path, experiment_of(path), *names) for path, *names in runs])
    write_output(options.to, page.encode("utf-8", "backslashreplace"))
    return options.to


def _check(options: Compare) -> None:
    """Checks the options before runs are read."""
    if not options.runs:
        raise InputError("compare needs at least one run, got none (see --help)")
    check_output(options.to, ".html", overwrite=options.overwrite)


def _check_once(paths: Sequence[Path]) -> None:
    locations = [path.resolve() for path in paths]
    twice = [location for location, count in Counter(locations).items() if count > 1]
    if repeated := [str(path) for path, location in zip(paths, locations, strict=True) if location in twice]:
        raise InputError(f"{' and '.join(repeated)}: is given more than once")


def _members(paths: Sequence[Path]) -> Iterator[tuple[Path, str, str]]:
    """Yields (directory, name on the page, name of the folder of members or "") of each run, or member of a folder.

    The name is the name of the directory, or its whole path if two names are equal.
    """
    from genjax_models.runs import directory

    names = Counter(path.resolve().name for path in paths)
    for path in paths:
        name = path.resolve().name if names[path.resolve().name] == 1 else str(path)
        for member in directory.read_members(path):
            yield (path / member, f"{name}/{member}", name) if member else (path, name, "")


def main(arguments: Sequence[str] | None = None, program: str = "genjax-models compare") -> int:
    """Runs the command; returns the exit status."""
    with exit_on_error():
        print(compare(parse(Compare, arguments, program, Compare.__doc__)))
    return 0
