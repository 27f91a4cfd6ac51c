"""The command line of an experiment. Imports no jax until there is something to compute, so that --help is quick."""

import contextlib
import dataclasses
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from genjax_models.errors import CheckpointError, InputError, NonFiniteError


class Experiment(NamedTuple):
    """What an experiment's file says of itself; `runs.experiment.run` does the rest.

    `title` heads the report. `metric` is the held-out figure by which runs are judged, in `unit`; `images_are` says
    what `images` shows, in `range`.

      build(config) -> Objective
      dataset(config) -> (config, Dataset): checked, and the config with what the data settle (their shape)
      prepare(config, Dataset) -> Prepared
      evaluate(config) -> (players, key, Batch) -> per-example values
      images(config) -> (players, key, n) -> images: for the pictures of samples
      look(config, players, Prepared) -> (evaluation.findings.Facts, list of Picture)
    """

    name: str
    title: str
    config: type
    metric: str
    higher_is_better: bool
    unit: str
    images_are: str
    build: Callable
    dataset: Callable
    prepare: Callable
    evaluate: Callable
    images: Callable
    look: Callable
    range: tuple[float, float] = (0, 1)


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the run goes."""

    run_dir: Path | None = None
    """Directory of the run; by default a new one in runs/."""
    overwrite: bool = False
    """Replace the run that is already in that directory."""
    dry_run: bool = False
    """Print shapes, parameter counts, memory and steps, and compute nothing."""


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """Runs the experiment as the command line says.

    Returns:
      The exit status: 0; 2 for input that a person can mend, with one line on standard error; 1 for a run that
      stopped because a loss was not finite.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    program = f"python -m experiments.{experiment.name}"
    with explained():
        config, options = _parse(experiment, arguments, program)
        from genjax_models.runs import experiment as running  # imports jax

        if options.dry_run:
            print(running.dry_run(experiment, config))
        else:
            running.run(experiment, config, options, shlex.join([*program.split(), *arguments]))
    return 0


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Errors that a person can mend become one line on standard error and an exit status."""
    try:
        yield
    except (InputError, CheckpointError) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    except NonFiniteError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(1)


def parse(command: Any, arguments: Sequence[str] | None, program: str, description: str) -> Any:
    """`tyro.cli`, whose errors become one `InputError`."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(
                command, prog=program, description=description, args=arguments, config=(tyro.conf.OmitArgPrefixes,)
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(_without_box(shown.getvalue())) from None


def _parse(experiment: Experiment, arguments: Sequence[str], program: str):
    command = dataclasses.make_dataclass(
        "Command",
        [("config", experiment.config), ("options", Options)],
        namespace={"__doc__": experiment.config.__doc__},
    )
    parsed = parse(command, arguments, program, experiment.config.__doc__)
    return parsed.config, parsed.options


def _without_box(text: str) -> str:
    """One line from tyro's message, which stands in a box: heading, rule, what is wrong, rule, help."""
    lines = [re.sub(r"^\s*[│|]|[│|]\s*$", "", line).strip() for line in text.splitlines()]
    _heading, *lines = [line for line in lines if not re.fullmatch(r"[╭╮╰╯─|+-]*", line)] or [""]
    body = " ".join(line for line in lines if not line.startswith("For full helptext"))
    body = re.sub(r"Arguments? helptext:.*", "", body)
    body = re.sub(r"Error parsing config[.a-z_]*: ", "", body)
    body = re.sub(r"Perhaps you meant:\s*(?:--)?(\S+).*", r"(did you mean --\1?)", body)
    return _one_line(body) + " (see --help)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
