"""One experiment from its config to its report, and back from its directory."""

import math
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from genjax_models.data.dataset import Dataset
from genjax_models.data.fingerprint import fingerprint
from genjax_models.data.prepare import Prepared
from genjax_models.errors import CheckpointError, InputError, NonFiniteError, StoppedError
from genjax_models.runs import checkpoints, directory, lock, memory, pictures, results, signals
from genjax_models.runs.command_line import Experiment, Options
from genjax_models.runs.fit import Progress, Row, fit, players_for_sampling, ready
from genjax_models.runs.pictures import Picture
from genjax_models.training import trainer
from genjax_models.types import Batch, Objective, Players, Trainer, TrainState

_SAMPLES = 64
_NOISE = 2**32 - 3  # the key of pictures, beside that of evaluation: the same noise at every evaluation
_TO_LOWER = "batch_size is {}: lower it, or the sizes of the networks (--dry-run says what their state takes)"


def run(experiment: Experiment, config: Any, options: Options, command: str) -> Path:
    """Trains, evaluates, draws and reports; prints the result and the path of the report.

    Returns:
      The run's directory.

    Raises:
      InputError: before anything is compiled.
      NonFiniteError: the last finite state is saved first.
      MemoryError: with the batch size and what to lower; the checkpoints before it stand.
    """
    config, dataset = _dataset(experiment, config)
    train = _trainer(experiment, config)
    if options.resume:
        folder = directory.reopen(options.resume)
    else:
        folder = directory.create(options.run_dir, experiment.name, overwrite=options.overwrite)
    with lock.locked(folder), memory.explained(_TO_LOWER.format(config.training.batch_size)):
        about = directory.config_as_json(experiment.name, config) | {"data": fingerprint(dataset)}
        start = _go_on(train, config, folder, about) if options.resume else None
        for result in ("result.json", "report.html"):  # of the run as it was, where it had ended and is prolonged
            (folder / result).unlink(missing_ok=True)
        data = experiment.prepare(config, dataset)
        directory.write_json(folder / "config.json", directory.config_as_json(experiment.name, config))
        if not options.resume:
            directory.write_json(folder / "environment.json", directory.environment(command))
        fitted, gallery = _fit(experiment, config, data, folder, train, start, about)
        _, best = restore(experiment, folder, "best")
        drawn = gallery.pictures(int(fitted.state.step))
        print(results.report(experiment, config, data, folder, fitted, best, drawn))
        return folder


def _fit(experiment, config, data: Prepared, folder: Path, train: Trainer, start: Progress | None, about):
    """Trains; writes metrics, pictures of samples and checkpoints as it goes, also when the run cannot go on."""
    gallery = _Gallery(experiment, config, folder)

    def save(progress: Progress, row: Row) -> None:
        described = about | {"pending": progress.pending}
        checkpoints.save(folder / "checkpoints", progress.state, score=_score(experiment, row), about=described)

    def on_evaluation(progress: Progress, row: Row) -> None:
        gallery.look(progress.state)
        save(progress, row)

    with signals.listening() as signal:
        try:
            fitted = fit(
                train,
                data,
                config.training,
                seed=config.seed,
                evaluate=experiment.evaluate(config),
                start=start,
                on_metrics=lambda row: directory.append_row(folder / "metrics.jsonl", row),
                on_evaluation=on_evaluation,
                should_stop=lambda: bool(signal()),
            )
        except NonFiniteError as error:
            save(error.progress, {})
            raise
        except StoppedError as error:
            save(error.progress, {})
            message = f"{error}, and saved; go on with: python -m experiments.{experiment.name} --resume {folder}"
            raise StoppedError(message, error.progress, signal()) from None
    return fitted, gallery


def _go_on(train: Trainer, config: Any, folder: Path, about) -> Progress | None:
    """Where the run in `folder` was at its newest checkpoint that is whole; its metrics are cut back to there.

    None for a run that did not come to its first checkpoint: it starts again.
    """
    checkpoints.clean(folder / "checkpoints")
    if not checkpoints.any_in(folder / "checkpoints"):
        directory.cut_rows(folder / "metrics.jsonl", -1)
        return None

    def warn(error: CheckpointError) -> None:
        print(f"warning: {error}; going back to an older checkpoint", file=sys.stderr)

    state, before = checkpoints.restore_newest(folder / "checkpoints", _shape_of_state(train, config), warn)
    if before["data"] != about["data"]:
        raise InputError(f"--resume {folder}: the data in {config.data} are not those that the run began with")
    return Progress(state, directory.cut_rows(folder / "metrics.jsonl", int(state.step)), before["pending"])


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
    like = _shape_of_state(_trainer(experiment, config), config)
    return config, checkpoints.restore(Path(run) / "checkpoints", like, which)


def dry_run(experiment: Experiment, config: Any) -> str:
    """Shapes, parameter counts, memory and steps, from `jax.eval_shape`: nothing is computed."""
    config, data = _dataset(experiment, config)
    state = _shape_of_state(_trainer(experiment, config), config)
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
        f" {_size(data.train.x.nbytes)} training data,"
        f" {_size(batch)} a batch; activations come on top",
        f"steps       {training.steps:,} of {training.batch_size} examples:"
        f" {training.steps / (size // training.batch_size):.1f} epochs of {size // training.batch_size:,} steps",
    ]
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


def _trainer(experiment: Experiment, config) -> Trainer:
    objective = experiment.build(config)
    if experiment.trainer:
        return experiment.trainer(config, objective)
    optimizer = config.optimizer.build(config.training.steps)
    return trainer(objective, dict.fromkeys(objective.losses, optimizer))


def _shape_of_state(train: Trainer, config) -> TrainState:
    example = Batch(jax.ShapeDtypeStruct((1, *config.shape), np.float32))
    return jax.eval_shape(train.init, jax.eval_shape(lambda: jax.random.key(0)), example)


class _Gallery:
    """Samples from fixed noise at each evaluation, to see learning by; on disk, so that a resumed run has all."""

    def __init__(self, experiment: Experiment, config: Any, folder: Path):
        draw = experiment.images(config)
        self.draw = jax.jit(
            lambda players: draw(players, jax.random.fold_in(jax.random.key(0), np.uint32(_NOISE)), _SAMPLES)
        )
        self.drawable = pictures.drawable(config.shape)
        self.experiment, self.folder = experiment, folder / "figures"

    def look(self, state: TrainState) -> None:
        if self.drawable:
            images, step = np.asarray(ready(self.draw(players_for_sampling(state)))), int(state.step)
            picture = pictures.samples(images, step, self.experiment.images_are, self.experiment.range)
            (self.folder / f"samples_{step:08d}.png").write_bytes(picture.png)
            np.save(self.folder / f"samples_{step:08d}.npy", images)

    def pictures(self, last: int) -> list[Picture]:
        """Samples after step `last`, and how they came about."""
        if not self.drawable:
            return []
        paths = sorted(self.folder.glob("samples_*.npy"))
        seen = [(int(path.stem.split("_")[1]), path) for path in paths]
        seen = [(step, np.load(path, allow_pickle=False)) for step, path in seen if step <= last]
        shown, range = self.experiment.images_are, self.experiment.range
        return [pictures.samples(seen[-1][1], last, shown, range), pictures.learning(seen, shown, range)]


def _score(experiment: Experiment, row: Row) -> float | None:
    value = row.get(experiment.metric)
    return None if value is None else value if experiment.higher_is_better else -value


def _count(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(tree))


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
