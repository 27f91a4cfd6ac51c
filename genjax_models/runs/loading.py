"""Loads a finished run: its config, system, model and players."""

import importlib
import os
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from genjax_models.errors import InputError
from genjax_models.models import Condition
from genjax_models.runs import checkpoints, directory
from genjax_models.runs.damage import check_config
from genjax_models.runs.environment import read_environment
from genjax_models.runs.evaluation import players_for_sampling
from genjax_models.runs.protocol import Experiment, System
from genjax_models.runs.shapes import state_shape
from genjax_models.types import Objective, Players, TrainState, Variables


class LoadedRun(NamedTuple):
    """A run, for notebooks and commands.

    config: the run's config.
    system: the functions that the config determines.
    objective: `objective.sample(players, key, n)` draws from p(x).
    model: `system.model`; None if the experiment has none.
    players: players for sampling: moving averages replace players that keep one.
    state: the full state in the checkpoint.
    experiment: title, metric and caption.
    data: the data, `data.Prepared`; None unless `load_run` was called with `data=True`.
    stored: type and range of the data in files, as in {"type": "uint8", "range": [0, 255]}; {} if the run is older.
    """

    config: Any
    system: System
    objective: Objective
    model: Any
    players: Players
    state: TrainState
    experiment: Experiment
    data: Any = None
    stored: Mapping[str, Any] = MappingProxyType({})

    @property
    def variables(self) -> Variables:
        """The variables of the model: of the player "generator" or "vae", or of the only player."""
        for player in ("generator", "vae"):
            if player in self.players:
                return self.players[player]
        (variables,) = self.players.values()
        return variables


def condition_of_run(run: LoadedRun) -> Condition | None:
    """Returns what each draw of the run's model is given besides z, such as a grey picture; None if it is a class."""
    condition = getattr(run.model, "condition", None)
    return None if condition is None or condition.classes is not None else condition


def load_run(path: Path | str, checkpoint: Literal["best", "last"] = "best", *, data: bool = False) -> LoadedRun:
    """Returns a run of any experiment, whatever its flags.

    The run's `config.json` holds the dotted name of the experiment's module, which must be importable here.

    Args:
      path: directory of a run, or of one member.
      checkpoint: the best on held-out data, or the last. Of a run that was stopped, a warning names an early best.
      data: whether to load and prepare the run's data.

    Raises:
      InputError: no run is there, its experiment cannot be imported, or `checkpoint` is neither.
      CheckpointError: the checkpoint is absent, damaged or of another model.
    """
    if checkpoint not in ("best", "last"):
        raise InputError(f"checkpoint must be best or last, got {checkpoint!r}")
    path = Path(path)
    experiment = experiment_of(path)
    config = directory.read_config(path, experiment.config, experiment.module)
    manifest = checkpoints.manifest_of(path / "checkpoints", checkpoint)
    check_config(directory.read_config_json(path), manifest, path / "config.json")
    system = experiment.build(config)
    state = checkpoints.restore(path / "checkpoints", state_shape(system.trainer, config.data.shape), which=checkpoint)
    _warn_of_early(path, int(state.step), config.training.steps)
    prepared = system.prepare(config.load()[1]) if data else None
    players = players_for_sampling(state)
    stored = manifest["about"].get("stored", {})
    return LoadedRun(config, system, system.objective, system.model, players, state, experiment, prepared, stored)


def _warn_of_early(path: Path, step: int, steps: int) -> None:
    """Warns if a run that did not reach its end has a later checkpoint than this step."""
    last = checkpoints.steps(path / "checkpoints")[-1]
    if step < last < steps:
        note = f"this is step {step:,}, the best on held-out data so far, and its last checkpoint is step {last:,}"
        warnings.warn(f"{path}: stopped before its {steps:,} steps; {note}", stacklevel=3)


def experiment_of(path: Path) -> Experiment:
    """Returns the experiment that a run belongs to.

    Raises:
      InputError: no run is there, or its module cannot be imported or holds no experiment.
    """
    name = str(directory.read_config_json(path)["experiment"])
    if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
        raise InputError(f"{path / 'config.json'}: experiment must be the dotted name of a module, got {name!r}")
    main = sys.modules["__main__"]
    if getattr(getattr(main, "__spec__", None), "name", None) == name and hasattr(main, "EXPERIMENT"):
        return main.EXPERIMENT
    if os.getcwd() not in sys.path and "" not in sys.path:  # as `python -m` does, unlike a console script
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        start = (read_environment(path) or {}).get("folder", "the folder that holds it")
        raise InputError(f"{path}: its experiment {name} cannot be imported ({error}); start from {start}") from error
    experiment = getattr(module, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise InputError(f"{path}: its module {name} holds no EXPERIMENT")
    return experiment
