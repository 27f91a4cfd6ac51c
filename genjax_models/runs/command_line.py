"""Command lines: parsing, and errors as one line. Imports no jax, so that --help is quick."""

import contextlib
import dataclasses
import importlib.util
import io
import itertools
import os
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from genjax_models.errors import CheckpointError, InputError, NonFiniteError, ProcessError, StoppedError
from genjax_models.runs.configuration import LARGEST, positive, whole
from genjax_models.runs.fields import with_plain_flags
from genjax_models.runs.output_files import write_output
from genjax_models.runs.signals import ending_in_one_line
from genjax_models.runs.streams import open_streams

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Options:
    """Directory, members, devices and processes of a run."""

    run_dir: Path | None = None
    """Directory of the run. Default: a new directory in runs/."""
    resume: Path | None = None
    """Resume the run in this directory, with its own config. Only intervals may change, and with schedule constant the
    number of steps."""
    start_from: Path | None = None
    """Begin with the players of the run in this directory, moving averages where it kept them. What fits by path and
    shape is copied; the rest keeps its own start, and is listed."""
    overwrite: bool = False
    """Replace the run in that directory."""
    dry_run: bool = False
    """Print shapes, parameter counts, memory and steps, and compute nothing."""
    seeds: str | None = None
    """Train one run per seed: 0:8 (0 to 7) or 0,3,5. Each run has its own directory."""
    sweep: tuple[str, ...] = ()
    """Train one run per value of float fields, such as kl_weight=0.5,1 optimizer.clip=1,10: all combinations."""
    members: Literal["auto", "together", "in-turn"] = "auto"
    """Whether the runs of --seeds and --sweep make their steps together in one program, or in turn. auto: measures at
    the start which is faster; with several devices, together. A run that resumes keeps its way."""
    devices: int | None = None
    """Devices that share each batch, or the runs of --seeds and --sweep. Default: one; with several processes, all. A
    run resumed on another number of devices is the same run to rounding, not bit for bit."""
    processes: int | Literal["auto"] = 1
    """Processes of this run. Start each with the same command; each has the same number of devices. auto: SLURM, a TPU
    pod or Open MPI supply the number, the index and the coordinator."""
    process: int | None = None
    """Index of this process, from 0. Only process 0 evaluates and writes."""
    coordinator: str | None = None
    """HOST:PORT of process 0, where all processes meet."""
    process_timeout: float = 300
    """Seconds to wait until all processes are connected."""
    profile: bool = False
    """Write a trace of ten steps, after the first step, into profile/ in the run's directory."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard into tensorboard/ in the run's directory. Needs the extra tensorboard. A run
    that resumes with this flag writes all its rows."""
    wandb: bool = False
    """Send the metrics to Weights & Biases, as WANDB_MODE, WANDB_PROJECT and WANDB_ENTITY say; WANDB_MODE=offline only
    writes into wandb/ in the run's directory. Needs the extra wandb. A run that resumes with this flag keeps its id."""

    def __post_init__(self):
        if self.tensorboard:
            needs_package("tensorboardX", user="--tensorboard", extra="tensorboard")
        if self.wandb:
            needs_package("wandb", user="--wandb", extra="wandb")
        if self.processes in (1, "auto"):
            if self.process is not None or self.coordinator is not None:
                raise InputError(f"--process and --coordinator need --processes N of 2 or more, got {self.processes}")
        else:
            whole(2, processes=self.processes)
            if self.process is None or not 0 <= self.process < self.processes:
                raise InputError(f"process must be between 0 and {self.processes - 1}, got {self.process}")
            if not re.fullmatch(r".+:\d{1,5}", self.coordinator or ""):
                raise InputError(f"coordinator must be HOST:PORT of process 0, got {self.coordinator}")
        if self.members != "auto" and self.seeds is None and not self.sweep and self.resume is None:
            raise InputError(f"--members {self.members} needs --seeds or --sweep")
        positive(process_timeout=self.process_timeout)
        if self.process_timeout > LARGEST:
            raise InputError(f"process_timeout must be at most {LARGEST} seconds, got {self.process_timeout:g}")


def needs_package(package: str, *, user: str, extra: str) -> None:
    """Refuses to go on without a package, which is not imported.

    Raises:
      InputError: the package is not installed. The error names the extra.
    """
    try:
        missing = importlib.util.find_spec(package) is None
    except ValueError:  # a module without a spec
        missing = False
    if missing:
        raise InputError(f"{user} needs {package}, which is not installed: pip install 'genjax_models[{extra}]'")


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turns an expected error into one line on standard error and an exit status; a warning is one line too.

    SIGTERM and SIGINT are one line. Characters that the terminal's encoding does not have are printed as escapes.
    Streams may be closed.
    """
    with open_streams(), ending_in_one_line(), _one_line_each():
        yield


@contextlib.contextmanager
def _one_line_each() -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # no stream of text, or closed
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    format_before, warnings.formatwarning = warnings.formatwarning, _warning_line
    try:
        yield
        sys.stdout.flush()  # inside `try`, so that a closed pipe is caught
    except (InputError, CheckpointError) as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(2)
    except StoppedError as error:
        print(one_line(str(error)), file=sys.stderr)
        sys.exit(128 + error.signal)
    except BrokenPipeError:  # the reader closed the output, and all files are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (NonFiniteError, ProcessError, OSError, MemoryError) as error:
        print(f"error: {one_line(str(error)) or 'out of memory'}", file=sys.stderr)
        sys.exit(1)
    except UnicodeEncodeError as error:  # the name of a file
        print(f"error: {error.object!a} cannot be written in {error.encoding}: set PYTHONUTF8=1", file=sys.stderr)
        sys.exit(2)
    except (RuntimeError, AssertionError) as error:
        if (reason := _missing_device(error)) is None:
            raise
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
    finally:
        warnings.formatwarning = format_before


def _warning_line(message: Warning | str, *where: Any) -> str:
    return f"warning: {one_line(str(message))}\n"


def _missing_device(error: Exception) -> str | None:
    """Returns the message for an error of JAX that finds no device of the platform in JAX_PLATFORMS; else None."""
    platforms = os.environ.get("JAX_PLATFORMS")
    if not platforms or "jax" not in sys.modules:
        return None
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as again:
        reason = one_line(str(again)).partition(" (set JAX_PLATFORMS")[0] or "JAX has no such backend"
        return f"JAX_PLATFORMS is {platforms!r}, and this machine has no such device ({reason}). Unset it, or use cpu"
    return None


def parse(
    command: Any,
    arguments: Sequence[str] | None,
    program: str,
    description: str | None,
    default: Any = None,
    **settings,
) -> Any:
    """Returns the result of `tyro.cli`, which takes the `settings`.

    Raises:
      InputError: the arguments do not fit; one line from tyro's message.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors), _help_in_paragraphs():
            return tyro.cli(
                command,
                **({} if default is None else {"default": default}),
                prog=program,
                description=description,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes,),
                **settings,
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise InputError(_without_box(errors.getvalue())) from None


@contextlib.contextmanager
def _help_in_paragraphs() -> Iterator[None]:
    """Keeps tyro (1.0) from breaking the lines of a help where those of the indented docstring end."""
    strings: Any = getattr(tyro, "_strings", None)
    name = "remove_single_line_breaks"
    theirs = getattr(strings, name, None)
    if theirs is None:
        yield
        return
    setattr(strings, name, lambda text: "\n\n".join(map(one_line, re.split(r"\n\s*\n", text.strip()))))
    try:
        yield
    finally:
        setattr(strings, name, theirs)


def run_study(
    module: str, options: type, report: Callable[[Any], tuple["Figure", str]], arguments: Sequence[str] | None
) -> int:
    """Writes the picture of a study, and prints its table and the path. Returns the exit status.

    Args:
      module: dotted name of the study.
      options: class of its options; without `to` the picture goes into the figures of the run.
      report: options -> picture, and table as text.
      arguments: arguments of the command line.
    """
    with exit_on_error():
        parsed = parse(options, arguments, f"python -m {module}", options.__doc__)
        figure, table = report(parsed)
        from genjax_models.figures import plots

        path = parsed.to or parsed.run / "figures" / f"{module.rpartition('.')[2]}.png"
        write_output(path, plots.png(figure))
        print(*filter(None, (table, path)), sep="\n")
    return 0


def parse_options(arguments: Sequence[str], program: str) -> Options:
    """Returns the options that the arguments name, and ignores the fields of a config among them.

    Raises:
      InputError: an option has a value that it does not take.
    """
    return parse(Options, arguments, program, None, return_unknown_args=True)[0]


def parse_run(config: type, arguments: Sequence[str], program: str, default: Any = None) -> tuple[Any, Options]:
    """Returns the config and the options that the arguments name; every field has a plain and a dotted flag.

    Args:
      config: class of the config.
      arguments: arguments of the command line.
      program: name of the program in its help.
      default: config whose values apply unless a flag changes them. Default: the defaults of the class.

    Raises:
      InputError: as `parse`; a field is given under both its names.
    """
    command = dataclasses.make_dataclass(
        "Command", [("config", config), ("run", Options)], namespace={"__doc__": config.__doc__}
    )
    plain = with_plain_flags(config() if default is None else default, list(arguments))
    default = None if default is None else command(default, Options())
    parsed = parse(command, plain, program, config.__doc__ or "", default)
    return parsed.config, parsed.run


def one_line(text: str) -> str:
    """Returns the text on one line, with single spaces."""
    return " ".join(text.split())


def _without_box(text: str) -> str:
    """Returns one line from tyro's message, which is a box: heading, rule, message, rule, help."""
    lines = [re.sub(r"^\s*[│|]|[│|]\s*$", "", line).rstrip() for line in text.splitlines()]
    _heading, *lines = [line for line in lines if not re.fullmatch(r"[╭╮╰╯─|+\s-]*", line)] or [""]
    lines = list(itertools.takewhile(lambda line: not line.strip().startswith("For full helptext"), lines))
    if lines and lines[0].strip().startswith("Missing from"):
        return f"missing {_missing(lines[1:])} (see --help)"
    body = " ".join(lines)
    body = re.sub(r"Arguments? helptext:.*", "", body)
    body = re.sub(r"Error parsing [\w.]+: ", "", body)
    body = re.sub(r"Perhaps you meant:\s*(?:--)?(\S+).*", r"(did you mean --\1?)", body)
    return one_line(body) + " (see --help)"


def _missing(lines: Sequence[str]) -> str:
    """Returns the missing arguments with their help, which tyro indents below each name."""
    arguments = re.split(r"\n(?=\S)", textwrap.dedent("\n".join(lines)))
    named = [(name, one_line(words)) for name, _, words in (text.partition("\n") for text in arguments)]
    return "; ".join(f"{name}: {words.removesuffix(' (required)').removesuffix('.')}" for name, words in named)
