"""Runs side by side on one page: what they differ in, curves, results with errors, pictures.

python -m genjax_models.commands.compare runs/vae2 runs/vae16
python -m genjax_models.commands.compare runs/sweep-* --out sweep.html

Runs that differ in their seed alone are taken together: a mean with the range over seeds for the curves, a mean with
the standard deviation over seeds for the results. A run that has not finished is shown as such.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import tyro

from genjax_models.commands.sample import of_run
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse


@dataclasses.dataclass(frozen=True)
class Compare:
    """Put runs side by side on one page."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of the runs."""
    out: Path = Path("comparison.html")
    """The page."""
    overwrite: bool = False
    """Replace the page that is there."""


def compare(options: Compare) -> Path:
    """Writes the page.

    Returns:
      Its path.
    """
    _check(options)
    experiments = [of_run(path) for path in options.runs]
    from genjax_models.runs import comparison, record  # imports jax

    names = _names(options.runs)
    runs = [record.read(*run) for run in zip(options.runs, experiments, names, strict=True)]
    page = comparison.render(runs)
    partial = options.out.with_name(options.out.name + ".partial")
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(page)
        os.replace(partial, options.out)
    except OSError as error:
        raise InputError(f"--out {options.out}: cannot be written ({error.strerror})") from error
    return options.out


def _check(options: Compare) -> None:
    """Whether there is a page to write, before runs are read."""
    if not options.runs:
        raise InputError("at least one run is wanted, got none (see --help)")
    places = [path.resolve() for path in options.runs]
    if twice := [str(path) for path, place in zip(options.runs, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"{' and '.join(twice)}: one run, given more than once")
    if options.out.is_dir() or options.out.is_symlink():
        kind = "symbolic link" if options.out.is_symlink() else "directory"
        raise InputError(f"--out {options.out}: is a {kind}; a file is wanted")
    if options.out.exists() and not options.overwrite:
        raise InputError(f"--out {options.out}: exists already; choose another, or replace it with --overwrite")


def _names(paths: Sequence[Path]) -> list[str]:
    """What the page calls the runs: the names of their directories, or whole paths where two have the same."""
    names = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if names[path.resolve().name] == 1 else str(path) for path in paths]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    with exit_on_error():
        print(compare(parse(Compare, arguments, "python -m genjax_models.commands.compare", Compare.__doc__)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
