"""One member of an experiment on disk: its config, its system and its directory."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genjax_models.errors import CheckpointError
from genjax_models.runs import checkpoints, directory
from genjax_models.runs.environment import environment, read_environment
from genjax_models.runs.evaluation import Evaluate
from genjax_models.runs.fields import replaced, unchecked
from genjax_models.runs.history import Listeners, Progress, Row
from genjax_models.runs.logs import Member
from genjax_models.runs.members import Members, values_of
from genjax_models.runs.metrics_file import MetricsFile
from genjax_models.runs.protocol import Experiment, System
from genjax_models.runs.sample_history import SampleHistory, fixed_noise_draw
from genjax_models.types import Array, Tracer, Trainer, TrainState


@dataclasses.dataclass(frozen=True)
class Run:
    """A member of an experiment; an only member has the name "".

    `values` are the numbers of a sweep. `about` is stored in manifests: experiment, config, the run that it started
    from, and the digest of the data. `check_lock` raises OSError if the directory is no longer the one that was locked.
    `arrays` of another run replace its own at the start, by path. `trackers` get each new row.
    """

    experiment: Experiment
    name: str
    config: Any
    values: Mapping[str, float]
    system: System
    folder: Path
    about: Mapping[str, Any]
    samples: SampleHistory
    metrics: MetricsFile
    check_lock: Callable[[], None] = lambda: None
    arrays: Mapping[str, Array] = dataclasses.field(default_factory=dict)
    trackers: Sequence[Callable[[Row], None]] = ()

    @property
    def start_from(self) -> Mapping[str, Any] | None:
        """The record of the run that this one started from (`runs.starting`); None if there is none."""
        return self.about.get("start_from")

    def begin(self, command: str) -> None:
        """Writes the config, and the environment of the first start."""
        content = directory.config_as_json(self.experiment.module, self.config, self.start_from)
        directory.write_json(self.folder / "config.json", content)
        if not (self.folder / "environment.json").exists():
            directory.write_json(self.folder / "environment.json", environment(command))

    def save(self, progress: Progress, row: Row) -> None:
        """Writes a checkpoint; its score is the metric in the row, negated if lower is better."""
        metric = self.experiment.metric
        value = row.get(metric.name)
        score = value if value is None or metric.higher_is_better else -value
        self.check_lock()
        record = {
            "rows": self.metrics.count,
            "digest": self.metrics.digest,
            "environment": read_environment(self.folder),
            "samples": self.samples.digests,
        }
        about = {**self.about, "pending": progress.pending, "position": progress.position, "record": record}
        self.metrics.sync()  # what the manifest counts on is on disk before it
        self.samples.sync()
        directory.sync(self.folder)
        folder = self.folder / "checkpoints"
        checkpoints.save(folder, progress.state, score=score, about=about)
        with contextlib.suppress(CheckpointError):  # a damaged manifest may need any of them
            manifests = [checkpoints.read_manifest(folder / f"{step:08d}") for step in checkpoints.steps(folder)]
            records = [manifest["about"].get("record", {}) for manifest in manifests]
            self.samples.delete_others({name for record in records for name in record.get("samples", {})})

    def member(self, start: Progress | None) -> Member:
        """Returns the member that `fit_members` trains; it writes metrics, samples and checkpoints."""

        def on_metrics(row: Row) -> None:
            self.check_lock()
            self.metrics.append(row)
            for track in self.trackers:
                track(row)

        def on_evaluation(progress: Progress, row: Row) -> None:
            self.samples.append(progress.state)
            self.save(progress, row)

        def on_kept_step(state: TrainState) -> None:
            self.check_lock()
            self.samples.keep(state)

        evaluate: Evaluate = self.system.evaluate
        listeners = Listeners(on_metrics, on_evaluation, on_kept_step)
        return Member(self.name, self.config.seed, self.values, evaluate, start, listeners, self.arrays)


class Systems:
    """The systems of an experiment's members; members with the same values share one."""

    def __init__(self, experiment: Experiment, config: Any):
        self.experiment, self.config = experiment, config
        self._built = functools.cache(self._build)

    def __call__(self, values: Mapping[str, float]) -> System:
        """Returns the system whose config has these values, by dotted name."""
        return self._built(tuple(values.items()))

    def trainer(self, values: Mapping[str, Any]) -> Trainer:
        """Returns the trainer of these values, which may be tracers."""
        if any(isinstance(value, Tracer) for value in values.values()):
            return self.experiment.build(unchecked(self.config, values)).trainer
        return self(values).trainer

    def _build(self, values: tuple[tuple[str, float], ...]) -> System:
        return self.experiment.build(replaced(self.config, dict(values)))


def runs_of(
    systems: Systems,
    members: Members,
    folder: Path,
    data: Mapping[str, Any],
    start_from: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Returns the run of each member; `folder` is the directory of an only member, or holds a directory per member.

    Manifests store `data`: the digest of the data, and their type and range.
    """
    experiment, shape = systems.experiment, systems.config.data.shape
    draw = functools.cache(lambda values: fixed_noise_draw(systems(dict(values)), shape))
    runs = []
    for name, fields in members.items():
        config, values = replaced(systems.config, fields), values_of(fields)
        system, place = systems(values), folder / name
        about = {**directory.config_as_json(experiment.module, config, start_from), **data}
        samples = SampleHistory(
            draw(tuple(values.items())), place / "figures", experiment.caption, system.range, slow=system.slow_draw
        )
        metrics = MetricsFile(place / "metrics.jsonl")
        runs.append(Run(experiment, name, config, values, system, place, about, samples, metrics))
    return runs
