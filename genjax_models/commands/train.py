"""The command line of an experiment: `main(EXPERIMENT)`. Imports no jax until there is something to compute."""

import argparse
import contextlib
import gc
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs.command_line import Options, exit_on_error, parse_options, parse_run
from genjax_models.runs.fields import replaced
from genjax_models.runs.protocol import Experiment
from genjax_models.runs.streams import best_effort_output


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """Trains and reports the experiment as the command line says.

    Returns:
      The exit status: 0; 2 for input that a person can mend, with one line on standard error; 1 for a run that stopped
      because a loss was not finite, or memory or the disk was full.
    """
    own_process = arguments is None
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with best_effort_output(), contextlib.ExitStack() as stack, exit_on_error():
        if _resumes(arguments):  # flags then change the stored config, and may not fit the defaults
            from genjax_models.runs.resuming import resumed_config

            options = parse_options(arguments, experiment.program)
            from_process_zero = stack.enter_context(_joined_processes(options))
            config = resumed_config(experiment, arguments, options, from_process_zero)
        else:
            flags, default = _preset(experiment, arguments)
            config, options = parse_run(experiment.config, flags, experiment.program, default)
            from_process_zero = stack.enter_context(_joined_processes(options))
        if options.dry_run:
            from genjax_models.runs.dry_run import dry_run

            lines = dry_run(experiment, config, options)
            from_process_zero(lambda: print(lines))
        else:
            with _without_garbage_collection(own_process):  # a fifth of the time of these imports
                from genjax_models.reports.final_evaluation import report
                from genjax_models.runs import compilation
                from genjax_models.runs.engine import train

            compilation.keep_compiled(convolves=config.convolves)
            train(experiment, config, options, shlex.join([*experiment.program.split(), *arguments]), report)
    return 0


def _preset(experiment: Experiment, arguments: Sequence[str]) -> tuple[list[str], Any]:
    """Returns the arguments without `--preset NAME`, and the config of that preset, or None.

    Raises:
      InputError: the experiment has no preset of this name.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", nargs="?", const="")
    known, flags = parser.parse_known_args(list(arguments))
    if known.preset is None:
        return flags, None
    if known.preset not in experiment.presets:
        names = ", ".join(experiment.presets)
        accepted = f"one of {names}" if names else f"absent: {experiment.program} has no presets"
        raise InputError(f"preset must be {accepted}, got {known.preset!r}")
    return flags, replaced(experiment.config(), experiment.presets[known.preset])


def _resumes(arguments: Sequence[str]) -> bool:
    names = [argument.partition("=")[0] for argument in arguments]
    return "--resume" in names and not {"-h", "--help"} & set(names)


@contextlib.contextmanager
def _without_garbage_collection(own_process: bool) -> Iterator[None]:
    """Collects no garbage inside the block, nor what it has imported afterwards if the process is the command's own."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if own_process:
            gc.freeze()
        if enabled:
            gc.enable()


@contextlib.contextmanager
def _joined_processes(options: Options) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Joins the other processes, if any; yields a function that runs its argument on process 0 only, for all."""
    if options.processes == 1:
        yield lambda work: work()
        return
    from genjax_models.runs import processes

    with processes.joined(options.processes, options.process, options.coordinator, options.process_timeout):
        yield processes.lost_process_as_error()(processes.from_process_zero)
