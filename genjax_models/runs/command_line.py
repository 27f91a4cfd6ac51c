"""The command line of an experiment. Imports no jax until there is something to compute, so that --help is quick."""

import contextlib
import dataclasses
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro

from genjax_models.errors import CheckpointError, InputError, NonFiniteError, ProcessError, StoppedError
from genjax_models.runs.configuration import positive, whole

# What a resumed run may do otherwise: go on for longer, or look more or less often.
_MAY_CHANGE = {"training.steps", "training.evaluate_every", "training.log_every"}


class Experiment(NamedTuple):
    """What an experiment's file says of itself; `runs.experiment.run` does the rest.

    `title` heads the report. `metric` is the held-out figure by which runs are judged, in `unit`; `images_are` says
    what `images` shows, in `range`.

      build(config) -> Objective
      dataset(config) -> (config, Dataset): checked, and the config with what the data settle (their shape)
      prepare(config, Dataset) -> Prepared
      evaluate(config) -> (players, key, Batch) -> per-example values
      images(config) -> (players, key, n) -> images: for the pictures of samples
      judge(config) -> as evaluate, for the test split alone, where a dearer figure is wanted there beside the metric
      look(config, players, Prepared) -> (evaluation.findings.Facts, list of Picture)
      model(config) -> the model of the one player, whose generator and encoder can be exported; None where none is
      trainer(config, Objective) -> Trainer; None where each player moves once in a step, by `config.optimizer`

    The players that `evaluate`, `images` and `look` get are those of `runs.fit.players_for_sampling`.
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
    model: Callable | None = None
    trainer: Callable | None = None
    range: tuple[float, float] = (0, 1)
    judge: Callable | None = None


@dataclasses.dataclass(frozen=True)
class Options:
    """Where the run goes, on what it runs, and which runs are one program with it."""

    run_dir: Path | None = None
    """Directory of the run; by default a new one in runs/."""
    resume: Path | None = None
    """Go on with the run in this directory, with the config that is there; steps and intervals alone may change."""
    overwrite: bool = False
    """Replace the run that is already in that directory."""
    dry_run: bool = False
    """Print shapes, parameter counts, memory and steps, and compute nothing."""
    seeds: str | None = None
    """Train a run for each of these seeds in one program: 0:8 (0 to 7) or 0,3,5. Each has its own directory within."""
    sweep: tuple[str, ...] = ()
    """The same for values of float fields, such as kl_weight=0.5,1 optimizer.clip=1,10: a run for each combination."""
    devices: int | None = None
    """Devices that share each batch, or with --seeds and --sweep the runs; by default one, and all where there are
    several processes. Resuming on another number is the same run to rounding, not bit for bit."""
    processes: int | Literal["auto"] = 1
    """Processes that are this run, each started with the same command, and each giving as many devices. With auto,
    SLURM, a TPU pod or Open MPI say how many there are, which this is and where they meet."""
    process: int | None = None
    """Which of them this is, from 0 on. Process 0 alone evaluates and writes."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where they meet."""
    process_timeout: float = 300
    """Seconds to wait for all of them to come."""
    profile: bool = False
    """Write a trace of ten steps after the first into profile/ in the run's directory."""

    def __post_init__(self):
        given = self.process is not None or self.coordinator is not None
        if self.processes in (1, "auto"):
            if given:
                raise InputError(
                    f"--process and --coordinator go with --processes N, of 2 or more, got {self.processes}"
                )
        else:
            whole(2, processes=self.processes)
            if self.process is None or not 0 <= self.process < self.processes:
                raise InputError(f"process must be between 0 and {self.processes - 1}, got {self.process}")
            if not re.fullmatch(r".+:\d{1,5}", self.coordinator or ""):
                raise InputError(f"coordinator must be HOST:PORT of process 0, got {self.coordinator}")
        positive(process_timeout=self.process_timeout)


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """Runs the experiment as the command line says.

    Returns:
      The exit status: 0; 2 for input that a person can mend, with one line on standard error; 1 for a run that
      stopped because a loss was not finite, memory was not enough or a disk took no more.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    program = f"python -m experiments.{experiment.name}"
    with contextlib.ExitStack() as processes, explained():
        config, options = _parse(experiment, arguments, program)
        from_first = processes.enter_context(_processes(options))
        if options.resume:
            config = _resumed(experiment, arguments, program, options, from_first)
        from genjax_models.runs import compilation  # imports jax
        from genjax_models.runs import experiment as running

        if options.dry_run:
            told = running.dry_run(experiment, config, options)
            from_first(lambda: print(told))
        else:
            compilation.keep_compiled()
            running.run(experiment, config, options, shlex.join([*program.split(), *arguments]))
    return 0


@contextlib.contextmanager
def _processes(options: Options) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Joins the other processes, if there are any; yields what has something done in process 0 alone, for all."""
    if options.processes == 1:
        yield lambda work: work()
        return
    from genjax_models.runs import processes

    with processes.joined(options.processes, options.process, options.coordinator, options.process_timeout):
        yield processes.explained()(processes.from_first)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Errors that a person can mend become one line on standard error and an exit status."""
    try:
        yield
        sys.stdout.flush()  # here, where a reader who has gone away is no error
    except (InputError, CheckpointError) as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    except StoppedError as error:
        print(_one_line(str(error)), file=sys.stderr)
        sys.exit(128 + error.signal)
    except BrokenPipeError:  # whoever read the output has seen enough; what there was to write to disk is written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (NonFiniteError, ProcessError, OSError, MemoryError) as error:
        print(f"error: {_one_line(str(error)) or 'out of memory'}", file=sys.stderr)
        sys.exit(1)


def parse(command: Any, arguments: Sequence[str] | None, program: str, description: str, default: Any = None) -> Any:
    """`tyro.cli`, whose errors become one `InputError`."""
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(
                command,
                **({} if default is None else {"default": default}),
                prog=program,
                description=description,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(_without_box(shown.getvalue())) from None


def _parse(experiment: Experiment, arguments: Sequence[str], program: str, default: Any = None):
    command = dataclasses.make_dataclass(
        "Command",
        [("config", experiment.config), ("run", Options)],
        namespace={"__doc__": experiment.config.__doc__},
    )
    default = None if default is None else command(default, Options())
    parsed = parse(command, arguments, program, experiment.config.__doc__, default)
    return parsed.config, parsed.run


def _resumed(experiment: Experiment, arguments: Sequence[str], program: str, options: Options, from_first) -> Any:
    """The config on disk, with the flags that may change; refuses the others, and says how they differ."""
    from genjax_models.runs import directory

    if options.run_dir or options.overwrite:
        raise InputError("--resume goes on in the run's own directory: --run-dir and --overwrite do not go with it")
    if options.seeds is not None or options.sweep:
        raise InputError("--resume goes on with the members that are there: --seeds and --sweep do not go with it")
    file = from_first(lambda: directory.MEMBERS if (options.resume / directory.MEMBERS).exists() else "config.json")
    found = from_first(lambda: directory.read_config_json(options.resume, file))
    stored = directory.as_config(found, experiment.config, options.resume / file, experiment.name)
    config, _ = _parse(experiment, arguments, program, stored)
    before, after = (dict(directory.flat(dataclasses.asdict(c))) for c in (stored, config))
    changed = [name for name in before if before[name] != after[name] and name not in _MAY_CHANGE]
    if changed:
        told = "; ".join(f"{name} is {before[name]}, asked for is {after[name]}" for name in changed)
        raise InputError(f"--resume {options.resume}: {told}. Only {', '.join(sorted(_MAY_CHANGE))} may change")
    if config.training.steps != stored.training.steps and config.optimizer.schedule != "constant":
        raise InputError(
            f"--resume {options.resume}: steps cannot change from {stored.training.steps} to {config.training.steps},"
            f" since they shape the {config.optimizer.schedule} schedule of the learning rate"
        )
    return config


def _without_box(text: str) -> str:
    """One line from tyro's message, which stands in a box: heading, rule, what is wrong, rule, help."""
    lines = [re.sub(r"^\s*[│|]|[│|]\s*$", "", line).strip() for line in text.splitlines()]
    _heading, *lines = [line for line in lines if not re.fullmatch(r"[╭╮╰╯─|+-]*", line)] or [""]
    body = " ".join(line for line in lines if not line.startswith("For full helptext"))
    body = re.sub(r"Arguments? helptext:.*", "", body)
    body = re.sub(r"Error parsing (config|run)[.a-z_]*: ", "", body)
    body = re.sub(r"Perhaps you meant:\s*(?:--)?(\S+).*", r"(did you mean --\1?)", body)
    return _one_line(body) + " (see --help)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
