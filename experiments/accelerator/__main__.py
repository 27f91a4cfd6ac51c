"""The command `python -m experiments.accelerator`."""

from __future__ import annotations

import collections
import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.accelerator import device, schedule
from experiments.accelerator.goals import facts_of
from experiments.accelerator.page import summary
from experiments.accelerator.part import Outcome, Part
from experiments.accelerator.results import NAME, Results
from experiments.accelerator.worker import Worker
from genjax_models.errors import InputError
from genjax_models.runs.command_line import exit_on_error, parse
from genjax_models.runs.configuration import positive
from genjax_models.runs.signals import ending_in_one_line

DEVICE = Part("device", "the device", 60, device.describe)


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """Measure everything that is to be known of a new accelerator, in order of value, within a given time."""

    minutes: float = 8.0
    """Time for all parts, in minutes. Parts that no longer fit are listed as not run."""
    to: Path = Path("runs/accelerator")
    """Folder of the results. Parts that it has measured already are not measured again."""
    only: tuple[str, ...] = ()
    """Parts to measure: names, such as steps:vae, or kinds, such as torch. Default: all."""

    def __post_init__(self):
        positive(minutes=self.minutes)


def measure(options: Accelerator) -> bool:
    """Measures, writes and prints. Returns whether no part failed.

    Raises:
      InputError: the folder has results of another device, or `only` names no part.
    """
    begun = time.monotonic()
    latest = begun + 60 * options.minutes
    from experiments.accelerator.plan import parts  # imports the benchmarks

    options.to.mkdir(parents=True, exist_ok=True)
    environment = {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # PyTorch and the tests use the same device
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "KINETO_LOG_LEVEL": "5",  # silences PyTorch's profiler, which measures memory
        "PYTHONWARNINGS": "ignore::UserWarning:multiprocessing.resource_tracker",  # of processes that were killed
    }
    log = options.to / "log.txt"
    with (
        tempfile.TemporaryDirectory(prefix="genjax_models-compiled-") as compiled,
        Worker(log, device.find, environment | {"JAX_COMPILATION_CACHE_DIR": compiled}) as worker,
        Worker(log, None, environment) as apart,
    ):
        found = worker.measure(DEVICE, latest)
        if found.status != "measured" or found.facts is None:
            raise OSError(f"no device: {found.note}")
        results = Results(options.to, found.facts)
        print(f"{found.facts['device']} ({found.facts['platform']}); results in {options.to}", flush=True)
        planned = parts(found.facts)
        chosen = [p for p in planned if not options.only or {p.name, p.name.partition(":")[0]} & {*options.only}]
        if not chosen:
            kinds = dict.fromkeys(part.name.partition(":")[0] for part in planned)
            raise InputError(f"only must name parts or kinds ({', '.join(kinds)}), got {', '.join(options.only)}")
        ended = collections.defaultdict(list)  # names of parts, by status

        def done(part: Part, outcome: Outcome) -> None:
            results.add(part, outcome)
            ended[outcome.status].append(part.name)
            if outcome.status != "not run":
                line = summary(part.name, outcome, facts_of(results.outcomes, "ceilings"))
                print(f"{time.monotonic() - begun:5.0f} s  {part.name}: {line}", flush=True)

        def measured(part: Part, latest: float) -> Outcome:
            if not part.apart:
                return worker.measure(part, latest)
            worker.stop()  # some devices take one process at a time
            return apart.measure(part, latest)

        schedule.run(chosen, latest, measured, done, results.outcomes)
    if ended["not run"]:
        print(f"not run, because too little time was left: {', '.join(ended['not run'])}")
    print(options.to / f"{NAME}.md")
    return not ended["failed"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints. Returns the exit status: 1 if a part failed."""
    with exit_on_error(), ending_in_one_line():
        options = parse(Accelerator, arguments, "python -m experiments.accelerator", Accelerator.__doc__)
        return 0 if measure(options) else 1


if __name__ == "__main__":
    sys.exit(main())
