"""Resumes a run from its stored config and its newest undamaged checkpoint."""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.errors import CheckpointError, InputError
from genjax_models.runs import checkpoints, directory, processes
from genjax_models.runs.command_line import Options, parse_run
from genjax_models.runs.damage import MAY_CHANGE, check_config, damages
from genjax_models.runs.environment import read_environment
from genjax_models.runs.history import Progress
from genjax_models.runs.metrics_file import read_rows
from genjax_models.runs.protocol import Experiment
from genjax_models.runs.run import Run
from genjax_models.runs.shapes import state_shape
from genjax_models.runs.ways import Way


def resumed_config(
    experiment: Experiment, arguments: Sequence[str], options: Options, from_process_zero: Callable
) -> Any:
    """Returns the stored config of the run, changed by the flags that may change.

    Raises:
      InputError: no run is there, or a flag changes a field that may not change; names the field and both values.
    """
    if options.run_dir or options.overwrite:
        raise InputError("--resume excludes --run-dir and --overwrite: a run resumes in its own directory")
    if options.seeds is not None or options.sweep:
        raise InputError("--resume excludes --seeds and --sweep: a run resumes with its own members")
    if options.start_from is not None:
        raise InputError("--resume excludes --start-from: a run resumes with the players that it has")
    run = cast(Path, options.resume)
    from_process_zero(lambda: _check(run))
    file = from_process_zero(lambda: directory.MEMBERS if (run / directory.MEMBERS).exists() else "config.json")
    stored = directory.as_config(
        from_process_zero(lambda: directory.read_config_json(run, file)),
        experiment.config,
        run / file,
        experiment.module,
    )
    config, _ = parse_run(experiment.config, arguments, experiment.program, stored)
    before, after = (dict(directory.flat(dataclasses.asdict(c))) for c in (stored, config))
    changed = [name for name in before if before[name] != after[name] and name not in MAY_CHANGE]
    if changed:
        differences = "; ".join(f"{name} is {before[name]}, the flag says {after[name]}" for name in changed)
        raise InputError(f"--resume {run}: {differences}. Only {', '.join(sorted(MAY_CHANGE))} may change")
    made = from_process_zero(lambda: _steps_made(run))
    _check_steps(f"--resume {run}", config, stored.training.steps, made)
    return config


def stored_way(run: Path) -> Way | None:
    """Returns whether the members in a directory train together or in turn; None if that is not stored.

    Raises:
      InputError: the directory holds no run, or its file is damaged.
    """
    file = run / directory.MEMBERS
    stored = directory.read_config_json(run, file.name).get("way") if file.exists() else None
    if stored is None:
        return None
    try:
        together, reason = stored["together"], stored["reason"]
    except (TypeError, KeyError):
        together, reason = None, None
    if not isinstance(together, bool) or not isinstance(reason, str):
        raise InputError(f"{file}: is damaged, `way` must have `together` and `reason`, got {stored!r}")
    return Way(together, reason)


def _check_steps(where: str, config: Any, before: int, made: int) -> None:
    """Refuses another number of steps if the run depends on it, as a schedule does, or if the run made more.

    Without such a dependence the lengthened run is, bit for bit, the run that was as long from its start.

    Raises:
      InputError: names what depends on the steps, or the steps that the run has made.
    """
    steps, schedule = config.training.steps, getattr(getattr(config, "optimizer", None), "schedule", "constant")
    if steps == before:
        return
    if config.depends_on_steps:
        raise InputError(
            f"{where}: steps cannot change from {before} to {steps}: {config.depends_on_steps} depends on them"
        )
    if schedule != "constant":
        raise InputError(
            f"{where}: steps cannot change from {before} to {steps}: the {schedule} schedule of the learning rate"
            " depends on them. A run that began with --schedule constant can be lengthened"
        )
    if steps < made:
        raise InputError(f"{where}: steps must be at least {made}, which the run has made, got {steps}")


def _steps_made(run: Path) -> int:
    """Returns the step of the newest checkpoint of the run, or of its members."""
    folders = [run / name / "checkpoints" for name in directory.read_members(run)]
    return max((step for folder in folders for step in checkpoints.steps(folder)), default=0)


def _check(run: Path) -> None:
    """Refuses a run whose damage cannot be made good."""
    fatal = [damage for damage in damages(run) if damage.fatal]
    if fatal:
        more = f", and {len(fatal) - 1} more (genjax-models check {run} lists all)" if len(fatal) > 1 else ""
        raise CheckpointError(
            f"--resume {run}: cannot resume: {fatal[0]}{more}; to start over: --run-dir {run} --overwrite"
        )


def starts(runs: list[Run], mesh: Mesh | None) -> list[Progress] | None:
    """Returns the progress of each run, from `_newest`; processes other than 0 get only the states."""
    progress = processes.on_process_zero(_newest, runs, mesh)
    if not processes.from_process_zero(lambda: progress is not None):
        return None
    like = [state_shape(runs[0].system.trainer, runs[0].config.data.shape)] * len(runs)
    states = processes.arrays_from_process_zero(progress and [start.state for start in progress], like)
    if progress is None:
        return [Progress(state, [], {}) for state in states]
    return [start._replace(state=state) for start, state in zip(progress, states, strict=True)]


def _newest(runs: list[Run], mesh: Mesh | None) -> list[Progress] | None:
    """Returns the progress at the newest step at which every run has an undamaged checkpoint; cuts the metrics there.

    Returns None if the runs were killed before their first checkpoint, at step 0; they then begin.
    """
    folders = [run.folder / "checkpoints" for run in runs]
    for folder in folders:
        checkpoints.clean(folder)
    if not all(map(checkpoints.steps, folders)) and all(checkpoints.steps(folder) in ([], [0]) for folder in folders):
        for run in runs:
            run.metrics.begin([])
        return None

    def warn(error: CheckpointError) -> None:
        print(f"warning: {error}; it is put aside, and another checkpoint is used", file=sys.stderr)

    shape = state_shape(runs[0].system.trainer, runs[0].config.data.shape)
    progress = []
    for run, (state, about) in zip(runs, checkpoints.restore_all(folders, shape, warn), strict=True):
        if about["data"] != run.about["data"]:
            raise InputError(f"--resume {run.folder}: {run.config.data} has changed since the run began")
        if mesh is not None and not mesh.is_multi_process:
            state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
        check_config(directory.json_of(run.about), {"about": about}, run.folder / "config.json")
        record = about["record"]
        rows = read_rows(run.metrics.path, record["rows"])
        run.metrics.begin(rows)
        run.samples.resume(record["samples"], [row["step"] for row in rows if row["split"] == "validation"])
        if read_environment(run.folder) != record["environment"]:
            directory.write_json(run.folder / "environment.json", record["environment"])
        progress.append(Progress(state, rows, about["pending"], about.get("position")))
    return progress
