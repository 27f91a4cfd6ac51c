"""One experiment from its config to its report, and back from its directory."""

import contextlib
import dataclasses
import functools
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genjax_models.data.dataset import Dataset
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.prepare import Prepared
from genjax_models.data.records import Records
from genjax_models.errors import CheckpointError, InputError, NonFiniteError, StoppedError
from genjax_models.runs import (
    checkpoints,
    comparison,
    directory,
    lock,
    memory,
    processes,
    profile,
    record,
    results,
    signals,
    sweep,
)
from genjax_models.runs.command_line import Experiment, Options
from genjax_models.runs.configuration import replaced, unchecked
from genjax_models.runs.fit import (
    Fit,
    Member,
    Progress,
    Row,
    check_alone,
    check_shares,
    fit_together,
    players_for_sampling,
)
from genjax_models.runs.gallery import Gallery, drawer
from genjax_models.runs.members import ALONE, Members, asked, float_fields, values_of
from genjax_models.training import data_mesh, trainer
from genjax_models.types import Batch, Objective, Players, Trainer, TrainState

_TO_LOWER = "batch_size is {}: lower it, or the sizes of the networks (--dry-run says what their state takes)"


@processes.explained()
def run(experiment: Experiment, config: Any, options: Options, command: str) -> Path:
    """Trains, evaluates, draws and reports; prints the result and the path of the report.

    Of several processes (`processes.joined`) all train, and process 0 does the rest; the others are done before it.

    Returns:
      The run's directory; that of all members, where there are several.

    Raises:
      InputError: before anything is compiled.
      ProcessError: another process failed or is gone; process 0 has the checkpoints before it.
      NonFiniteError: the last finite state is saved first.
      MemoryError: with the batch size and what to lower; the checkpoints before it stand.
    """
    members = _members(config, options)
    config, dataset = processes.together(_dataset, experiment, config)
    mesh = _mesh(options.devices, len(members), config.training.batch_size)
    data_read = fingerprint(dataset)
    asked = [directory.config_as_json(experiment.name, config), members, options.devices, options.profile, data_read]
    processes.check_alike([*asked, bool(options.resume)])
    if not options.resume:
        _traces(options, Path(), config, None)
    trainer_of = lambda values: trainer_for(experiment, unchecked(config, values))
    _check_sweep(trainer_of, config, dataset, members)
    folder = Path(processes.from_first(lambda: str(_folder(experiment, options))))
    advice = _TO_LOWER.format(config.training.batch_size)
    with contextlib.ExitStack() as locks, memory.explained(advice):
        runs = _runs(experiment, config, members, folder, data_read)
        processes.on_first(_occupy, folder, runs, locks)
        starts = _starts(trainer_of(values_of(members[runs[0].name])), runs, mesh) if options.resume else None
        traces = _traces(options, folder, config, starts)
        processes.on_first(_begin, experiment, config, members, folder, runs, command)
        data = processes.together(_prepared, experiment, config, dataset)
        fitted = _fit(experiment, config, data, folder, runs, starts, trainer_of, mesh, traces)
        processes.leave()
        if not processes.is_first():
            return folder
        told = [one.report(data, own) for one, own in zip(runs, fitted, strict=True)]
        print(told[0] if members == ALONE else _report(experiment, folder, runs))
        return folder


def _prepared(experiment: Experiment, config: Any, dataset: Dataset) -> Prepared:
    data = experiment.prepare(config, dataset)
    if jax.process_count() > 1 and isinstance(data.train.x, jax.Array):
        # While it trains a device is to have its share of the examples (`feed.shared`), and no device all of them.
        return data._replace(train=jax.device_get(data.train))
    return data


def _folder(experiment: Experiment, options: Options) -> Path:
    if options.resume:
        return directory.reopen(options.resume)
    return directory.create(options.run_dir, experiment.name, overwrite=options.overwrite)


def _occupy(folder: Path, runs: Sequence["_Run"], locks: contextlib.ExitStack) -> None:
    """Locks the directories, that of all first, and makes those of members."""
    locks.enter_context(lock.locked(folder))
    for one in runs:
        (one.folder / "figures").mkdir(parents=True, exist_ok=True)
        if one.folder != folder:
            locks.enter_context(lock.locked(one.folder))


def _begin(experiment: Experiment, config: Any, members: Members, folder: Path, runs: Sequence["_Run"], command: str):
    """Writes what is asked; what came of the runs as they were, where they are prolonged, goes."""
    if members != ALONE:
        shared = directory.config_as_json(experiment.name, config)
        directory.write_json(folder / directory.MEMBERS, shared | {"members": members})
    for place in {folder, *(one.folder for one in runs)}:
        for result in ("result.json", "report.html"):
            (place / result).unlink(missing_ok=True)
    for one in runs:
        one.begin(command)


@dataclasses.dataclass
class _Run:
    """A member's directory, and what is written there as it learns; a run alone is a member called ""."""

    experiment: Experiment
    name: str
    config: Any
    folder: Path
    about: dict[str, Any]
    gallery: Gallery
    member: Member

    def begin(self, command: str) -> None:
        """Writes what is asked and where it runs, which stays as it was where the run goes on."""
        directory.write_json(self.folder / "config.json", directory.config_as_json(self.experiment.name, self.config))
        if not (self.folder / "environment.json").exists():
            directory.write_json(self.folder / "environment.json", directory.environment(command))

    def save(self, progress: Progress, row: Row) -> None:
        """Writes a checkpoint."""
        described = self.about | {"pending": progress.pending, "position": progress.position}
        score = _score(self.experiment, row)
        checkpoints.save(self.folder / "checkpoints", progress.state, score=score, about=described)

    def on_evaluation(self, progress: Progress, row: Row) -> None:
        """Draws, and writes a checkpoint."""
        self.gallery.look(progress.state)
        self.save(progress, row)

    def report(self, data: Prepared, fitted: Fit) -> str:
        """Judges the best checkpoint, and writes what came out; what to say of it."""
        _, best = restore(self.experiment, self.folder, "best")
        drawn = self.gallery.pictures(int(fitted.state.step))
        return results.report(self.experiment, self.config, data, self.folder, fitted, best, drawn)

    def as_member(self, start: Progress | None) -> Member:
        """As `fit_together` wants it."""
        return self.member._replace(
            start=start,
            on_metrics=lambda row: directory.append_row(self.folder / "metrics.jsonl", row),
            on_evaluation=self.on_evaluation,
        )


def _runs(experiment: Experiment, config: Any, members: Members, folder: Path, data: str) -> list[_Run]:
    @functools.cache
    def of_values(values: tuple[tuple[str, float], ...]):
        """What members with the same values share, and compile once."""
        own = replaced(config, dict(values))
        return experiment.evaluate(own), drawer(experiment, own)

    runs = []
    for name, fields in members.items():
        own, values = replaced(config, fields), values_of(fields)
        evaluate, draw = of_values(tuple(values.items()))
        about = directory.config_as_json(experiment.name, own) | {"data": data}
        gallery = Gallery(experiment, draw, folder / name / "figures")
        runs.append(
            _Run(experiment, name, own, folder / name, about, gallery, Member(name, own.seed, values, evaluate))
        )
    return runs


def _members(config: Any, options: Options) -> Members:
    if options.resume:
        return processes.from_first(lambda: dict(directory.read_members(options.resume)))
    return asked(config, options.seeds, options.sweep)


def _check_sweep(trainer_of, config, dataset: Dataset, members: Members) -> None:
    check_alone(dataset.train, len(members))
    label = None if dataset.train.label is None else jax.ShapeDtypeStruct((config.training.batch_size,), np.int32)
    batch = Batch(jax.ShapeDtypeStruct((config.training.batch_size, *config.shape), np.float32), label)
    swept = list(values_of(next(iter(members.values()))))
    sweep.check(trainer_of, batch, swept, list(float_fields(config)) if swept else [])


def _mesh(devices: int | None, members: int, batch_size: int) -> Mesh | None:
    if devices in (None, 1) and jax.process_count() == 1:
        return None
    try:
        mesh = data_mesh(devices)
    except ValueError as error:
        raise InputError(str(error)) from None
    check_shares(members, batch_size, mesh)
    return mesh


def _traces(options: Options, folder: Path, config: Any, starts: list[Progress] | None):
    """What `fit_together` is to profile with."""
    left = config.training.steps - (int(starts[0].state.step) if starts else 0)
    if options.profile and left < 2:
        raise InputError(f"--profile: traces steps after the first that are made, and {left} are left to make")
    if not options.profile:
        return None
    return profile.traces(folder / "profile") if processes.is_first() else contextlib.nullcontext


def _fit(experiment, config, data: Prepared, folder, runs: list[_Run], starts, trainer_of, mesh, traces) -> list[Fit]:
    """Trains; writes metrics, pictures of samples and checkpoints as it goes, also when the run cannot go on."""

    def save(error: NonFiniteError | StoppedError) -> None:
        for run, progress in zip(runs, error.progress, strict=True):
            run.save(progress, {})

    def asked() -> int:
        return max(processes.gathered(signal()))  # whichever process was asked to stop, all do

    with signals.listening() as signal:
        try:
            return fit_together(
                trainer_of,
                data,
                config.training,
                [run.as_member(start) for run, start in zip(runs, starts or [None] * len(runs), strict=True)],
                mesh=mesh,
                should_stop=lambda: bool(asked()),
                profile=traces,
            )
        except NonFiniteError as error:
            processes.on_first(save, error)
            if len(runs) == 1:
                raise
            alone = f"{error}; the others can go on alone, each with --resume {folder}/NAME"
            raise NonFiniteError(alone, error.progress) from None
        except StoppedError as error:
            processes.on_first(save, error)
            message = f"{error}, and saved; go on with: python -m experiments.{experiment.name} --resume {folder}"
            raise StoppedError(message, error.progress, asked()) from None


def _starts(train: Trainer, runs: list[_Run], mesh: Mesh | None) -> list[Progress] | None:
    """As `_go_on` says in process 0; the others get its states, and need no more to go on."""
    starts = processes.on_first(_go_on, train, runs, mesh)
    if not processes.from_first(lambda: starts is not None):
        return None
    like = [_shape_of_state(train, runs[0].config)] * len(runs)
    states = processes.arrays_from_first(starts and [start.state for start in starts], like)
    if starts is None:
        return [Progress(state, [], {}) for state in states]
    return [start._replace(state=state) for start, state in zip(starts, states, strict=True)]


def _go_on(train: Trainer, runs: list[_Run], mesh: Mesh | None) -> list[Progress] | None:
    """Where the runs were at the newest step of which all have a checkpoint that is whole; their metrics are cut back
    to there.

    None for runs that did not all come to their first checkpoint: they start again.
    """
    folders = [run.folder / "checkpoints" for run in runs]
    for folder in folders:
        checkpoints.clean(folder)
    if not all(map(checkpoints.steps, folders)) and all(checkpoints.steps(folder) in ([], [0]) for folder in folders):
        for run in runs:
            directory.cut_rows(run.folder / "metrics.jsonl", -1)
        return None

    def warn(error: CheckpointError) -> None:
        print(f"warning: {error}; going back to an older checkpoint", file=sys.stderr)

    found = checkpoints.restore_together(folders, _shape_of_state(train, runs[0].config), warn)
    starts = []
    for run, (state, before) in zip(runs, found, strict=True):
        if before["data"] != run.about["data"]:
            raise InputError(
                f"--resume {run.folder}: the data in {run.config.data} are not those that the run began with"
            )
        if mesh is not None and not mesh.is_multi_process:
            state = jax.device_put(state, NamedSharding(mesh, PartitionSpec()))
        rows = directory.cut_rows(run.folder / "metrics.jsonl", int(state.step))
        starts.append(Progress(state, rows, before["pending"], before.get("position")))
    return starts


def _report(experiment: Experiment, folder: Path, runs: Sequence[_Run]) -> str:
    """Writes the page of all members; what to say of them."""
    found = [record.read(run.folder, experiment, f"{folder.name}/{run.name}") for run in runs]
    page = folder / "report.html"
    page.write_text(comparison.render(found))
    return "\n".join([*comparison.results_in_words(found), f"report: {page}"])


def load(experiment: Experiment, run: Path | str, which: str = "best") -> tuple[Objective, Players]:
    """A finished run's objective and its players as they are sampled from, of the best or the last checkpoint."""
    config, state = restore(experiment, run, which)
    return experiment.build(config), players_for_sampling(state)


def restore(experiment: Experiment, run: Path | str, which: str = "best") -> tuple[Any, TrainState]:
    """A run's config, and its whole state from the best or the last checkpoint.

    Raises:
      InputError: no run there, or of another experiment.
      CheckpointError: no checkpoint there, a damaged one, or one of another model.
    """
    config = directory.read_config(run, experiment.config, experiment.name)
    like = _shape_of_state(trainer_for(experiment, config), config)
    return config, checkpoints.restore(Path(run) / "checkpoints", like, which)


def dry_run(experiment: Experiment, config: Any, options: Options = Options()) -> str:  # noqa: B008 - frozen
    """Shapes, parameter counts, memory and steps, from `jax.eval_shape`: nothing is computed."""
    members = _members(config, options)
    config, data = _dataset(experiment, config)
    _mesh(options.devices, len(members), config.training.batch_size)
    _check_sweep(lambda values: trainer_for(experiment, unchecked(config, values)), config, data, members)
    state = _shape_of_state(trainer_for(experiment, config), config)
    training, size = config.training, len(data.train.x)
    lines = [
        f"data        {config.data}: {size:,} training, {len(data.validation.x):,} validation,"
        f" {len(data.test.x):,} test examples of shape {config.shape}"
    ]
    for player, variables in state.variables.items():
        lines.append(f"player      {player}: {_count(variables['params']):,} parameters")
        for part, values in variables["params"].items():
            lines.append(f"              {part}: {_count(values):,}")
    batch = training.batch_size * math.prod(config.shape) * 4
    params = sum(_bytes(v["params"]) for v in state.variables.values())
    lines += [
        f"memory      {_size(_bytes(state))} state (parameters, optimizer), {_size(params)} gradients,"
        f" {_size(data.train.x.nbytes)} training data{' on disk' if isinstance(data.train.x, Records) else ''},"
        f" {_size(batch)} a batch; activations come on top",
        f"steps       {training.steps:,} of {training.batch_size} examples:"
        f" {training.steps / (size // training.batch_size):.1f} epochs of {size // training.batch_size:,} steps",
    ]
    if members != ALONE:
        lines.append(f"members     {len(members)}, each with a state and batches of its own: {', '.join(members)}")
    return "\n".join(lines)


def _dataset(experiment: Experiment, config: Any) -> tuple[Any, Dataset]:
    """Config and data set; a batch that does not fit is refused before anything is compiled."""
    config, data = experiment.dataset(config)
    if config.training.batch_size > len(data.train.x):
        raise InputError(
            f"batch_size must be at most {len(data.train.x)}, the training split of {config.data},"
            f" got {config.training.batch_size}"
        )
    return config, data


def trainer_for(experiment: Experiment, config) -> Trainer:
    """The trainer of the objective that the config names."""
    objective = experiment.build(config)
    if experiment.trainer:
        return experiment.trainer(config, objective)
    optimizer = config.optimizer.build(config.training.steps)
    return trainer(objective, dict.fromkeys(objective.losses, optimizer))


def _shape_of_state(train: Trainer, config) -> TrainState:
    example = Batch(jax.ShapeDtypeStruct((1, *config.shape), np.float32))
    return jax.eval_shape(train.init, jax.eval_shape(lambda: jax.random.key(0)), example)


def _score(experiment: Experiment, row: Row) -> float | None:
    value = row.get(experiment.metric)
    return None if value is None else value if experiment.higher_is_better else -value


def _count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(tree))


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
