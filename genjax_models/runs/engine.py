"""The engine: runs an experiment from its config to its checkpoints; members share one compiled program."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from genjax_models.data.dataset import Dataset
from genjax_models.data.description import description
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.prepare import Prepared
from genjax_models.errors import InputError, NonFiniteError, StoppedError
from genjax_models.runs import (
    directory,
    lock,
    memory,
    planning,
    processes,
    profile,
    resuming,
    signals,
    starting,
    trackers,
)
from genjax_models.runs.command_line import Options
from genjax_models.runs.fit import Fit, fit_members
from genjax_models.runs.history import Progress
from genjax_models.runs.members import ALONE, Members
from genjax_models.runs.protocol import Experiment, System, likelihood_in_words
from genjax_models.runs.run import Run, Systems, runs_of
from genjax_models.runs.ways import Way

_MEMORY_ADVICE = "batch_size is {}: lower it, or the sizes of the networks (--dry-run prints the size of their state)"


class Trained(NamedTuple):
    """The runs of an experiment after training, for the report.

    `folder` is the directory of all members, and `description` says in words what the data and the likelihood are.
    """

    experiment: Experiment
    folder: Path
    runs: Sequence[Run]
    fits: Sequence[Fit]
    data: Prepared
    description: Sequence[tuple[str, str]]


@processes.lost_process_as_error()
def train(
    experiment: Experiment, config: Any, options: Options, command: str, report: Callable[[Trained], None]
) -> Path:
    """Trains, evaluates, draws samples and writes checkpoints; then calls `report`.

    If there are several processes (`processes.joined`), all train, and only process 0 writes and reports.

    Args:
      experiment: the experiment to run.
      config: an instance of `experiment.config`, already checked.
      options: directory, devices and members.
      command: the command line, for `environment.json`.
      report: called after training, while the directories are locked.

    Returns:
      The directory of the run, or of all members.

    Raises:
      InputError: the config, the options or the data do not fit; raised before compilation.
      ProcessError: another process failed or has ended; process 0 keeps its checkpoints.
      NonFiniteError: a step is not finite; the last finite state is saved first.
      MemoryError: out of memory; names the batch size. Earlier checkpoints are kept.
    """
    members = planning.members_of(config, options)
    config, dataset = processes.on_all(planning.load_data, config)
    mesh = planning.mesh_of(options.devices, len(members), config.training.batch_size)
    way = planning.way_of(options, mesh)
    digest = fingerprint(dataset)
    about_data = {"data": digest, "stored": {"type": str(dataset.train.x.dtype), "range": list(dataset.range)}}
    stored = directory.config_as_json(experiment.module, config)
    flags = [options.devices, options.members, options.profile, bool(options.resume), options.start_from]
    processes.check_alike([stored, members, digest, *flags])
    if not options.resume:
        _traces(options, Path(), config, None)
    systems = Systems(experiment, config)
    planning.check_members(systems, dataset, members)
    start = planning.start_of(systems, members, options)
    record = start.record if start else planning.stored_start(options)
    folder = Path(processes.from_process_zero(lambda: str(_folder(experiment, options))))
    advice = _MEMORY_ADVICE.format(config.training.batch_size)
    with contextlib.ExitStack() as locks, memory.with_advice(advice):
        runs = runs_of(systems, members, folder, about_data, record)
        processes.on_process_zero(_lock, folder, runs, locks)
        starts = resuming.starts(runs, mesh) if options.resume else None
        if record and options.resume and not starts:
            trainer, players = planning.first_players(systems, members)
            start = starting.start_again(record, trainer, players, options.resume)
        if start:
            runs = [dataclasses.replace(run, arrays=start.arrays) for run in runs]
            text = "\n".join(starting.account(start.record))
            processes.on_process_zero(lambda: print(text, file=sys.stderr))
        traces = _traces(options, folder, config, starts)
        if way is None and (starts or len(runs) == 1):
            way = Way(True, "the run began before there was a choice" if starts else "there is only one")
        write_way = partial(_write_members, systems, members, folder, record)
        if members != ALONE:
            processes.on_process_zero(write_way, way)
        processes.on_process_zero(_begin, folder, runs, command)
        processes.on_process_zero(_track, folder, runs, starts, options, locks)
        data = processes.on_all(_prepared, runs[0].system, dataset)
        fits = _fit(systems, data, folder, runs, starts, mesh, traces, way, write_way)
        processes.leave()
        if processes.is_process_zero():
            in_words = [*description(dataset), *likelihood_in_words(runs[0].system, dataset)]
            print(f"evaluating {len(data.test.x):,} test examples", file=sys.stderr)  # may take longer than training
            report(Trained(experiment, folder, runs, fits, data, in_words))
        return folder


def _prepared(system: System, dataset: Dataset) -> Prepared:
    data = system.prepare(dataset)
    if jax.process_count() > 1 and isinstance(data.train.x, jax.Array):
        # During training a device holds only its share of the examples (`feed.sharded`).
        return data._replace(train=jax.device_get(data.train))
    return data


def _folder(experiment: Experiment, options: Options) -> Path:
    if options.resume:
        return directory.reopen(options.resume)
    return directory.create(options.run_dir, experiment.name, overwrite=options.overwrite)


def _lock(folder: Path, runs: list[Run], locks: contextlib.ExitStack) -> None:
    """Locks the directory of all members, then makes and locks the members' directories."""
    check = locks.enter_context(lock.locked(folder))
    for i, run in enumerate(runs):
        (run.folder / "figures").mkdir(parents=True, exist_ok=True)
        if run.folder != folder:
            check = locks.enter_context(lock.locked(run.folder))
        runs[i] = dataclasses.replace(run, check_lock=check)


def _write_members(
    systems: Systems, members: Members, folder: Path, start_from: Mapping[str, Any] | None, way: Way | None
) -> None:
    """Writes `members.json`; without a way until one is chosen."""
    shared = directory.config_as_json(systems.experiment.module, systems.config, start_from)
    chosen = {"way": way._asdict()} if way else {}
    directory.write_json(folder / directory.MEMBERS, shared | {"members": members} | chosen)


def _begin(folder: Path, runs: Sequence[Run], command: str) -> None:
    """Writes the configs, and deletes results that a longer run makes stale."""
    for place in {folder, *(run.folder for run in runs)}:
        for result in ("result.json", "report.html"):
            (place / result).unlink(missing_ok=True)
    for run in runs:
        run.begin(command)


def _track(
    folder: Path, runs: list[Run], starts: list[Progress] | None, options: Options, stack: contextlib.ExitStack
) -> None:
    """Opens the trackers that the options name; they end with the stack."""
    for i, run in enumerate(runs):
        rows = starts[i].history if starts else []
        opened = trackers.of_run(
            run.folder,
            rows,
            config=directory.json_of(run.about),
            name=f"{folder.name}/{run.name}" if run.name else folder.name,
            group=folder.name if run.name else None,
            tensorboard=options.tensorboard,
            wandb=options.wandb,
        )
        runs[i] = dataclasses.replace(run, trackers=[stack.enter_context(tracker) for tracker in opened])


def _traces(options: Options, folder: Path, config: Any, starts: list[Progress] | None):
    """The profiler's contexts for `fit_members`; None without --profile."""
    left = config.training.steps - (int(starts[0].state.step) if starts else 0)
    if options.profile and left < 2:
        raise InputError(f"--profile needs a step after the first one, got {left} steps to make")
    if not options.profile:
        return None
    return profile.traces(folder / "profile") if processes.is_process_zero() else contextlib.nullcontext


def _fit(
    systems: Systems,
    data: Prepared,
    folder: Path,
    runs: list[Run],
    starts: list[Progress] | None,
    mesh: Mesh | None,
    traces: Callable | None,
    way: Way | None,
    on_choice: Callable[[Way], None],
) -> list[Fit]:
    """Trains; saves a checkpoint also if a step is not finite or the run is stopped."""

    def save(error: NonFiniteError | StoppedError) -> None:
        for run, progress in zip(runs, error.progress, strict=True):
            run.save(progress, {})

    with signals.listening() as signal:

        def received() -> int:
            return max(processes.gathered(signal()))  # a signal to one process stops all

        try:
            return fit_members(
                systems.trainer,
                data,
                systems.config.training,
                [run.member(start) for run, start in zip(runs, starts or [None] * len(runs), strict=True)],
                mesh=mesh,
                together=way.together if way else None,
                on_choice=on_choice,
                should_stop=lambda: bool(received()),
                profile=traces,
            )
        except NonFiniteError as error:
            processes.on_process_zero(save, error)
            if len(runs) == 1:
                raise
            message = f"{error}; each of the other members can resume on its own, with --resume {folder}/NAME"
            raise NonFiniteError(message, error.progress) from None
        except StoppedError as error:
            processes.on_process_zero(save, error)
            message = f"{error}, and saved; resume with: {systems.experiment.program} --resume {folder}"
            raise StoppedError(message, error.progress, received()) from None
