"""Reads the directory of a run, finished or not, for the comparison of runs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genjax_models.errors import InputError
from genjax_models.runs import directory
from genjax_models.runs.environment import read_environment
from genjax_models.runs.metrics_file import check_numbers, read_rows
from genjax_models.runs.protocol import Experiment

_REDRAWN = ("curves",)  # the comparison draws the curves of all runs in one figure
NOTHING = "\N{EN DASH}"


class StoredRun(NamedTuple):
    """The content of a run's directory.

    `config` and `environment` are flat; `test` is None if the run has not finished. `pictures` are PNG files by name;
    `samples_step` is the step of the samples of an unfinished run. `folder` is the name of the folder of seeds or of a
    sweep that the run is a member of, or "".
    """

    name: str
    experiment: Experiment
    config: Mapping[str, str]
    environment: Mapping[str, str]
    history: Sequence[Mapping[str, Any]]
    test: Mapping[str, Any] | None
    pictures: Mapping[str, bytes]
    samples_step: int | None
    folder: str = ""

    @property
    def seed(self) -> str:
        """The seed in its config."""
        return self.config.get("seed", NOTHING)


def read_run(path: Path, experiment: Experiment, name: str, folder: str = "") -> StoredRun:
    """Returns the run in a directory.

    Args:
      path: directory of the run.
      experiment: experiment of the run.
      name: name of the run on the page.
      folder: name on the page of the folder that it is a member of; "" for a run on its own.

    Raises:
      InputError: the directory holds no run, or a file in it is damaged.
    """
    files = {file.stem: file for file in sorted((path / "figures").glob("*.png"))}
    numbered = {stem: file for stem, file in files.items() if re.fullmatch(r"samples_\d+", stem)}
    pictures = {stem: file for stem, file in files.items() if stem == "samples" or not re.match(r"samples?_\d", stem)}
    stored = directory.read_config_json(path)
    config = dict(directory.flat(stored["config"]))
    if start := stored.get("start_from"):
        config["start_from"] = f"{start['run']}, step {start['step']:,}"
    history, test, samples_step = read_rows(path / "metrics.jsonl"), _test(path / "result.json"), None
    if history and history[-1]["step"] < int(config.get("training.steps", 0)):
        test = None  # it is older than the resumed, longer run
    if test is None and numbered:
        pictures["samples"] = max(numbered.values())
        samples_step = int(pictures["samples"].stem.split("_")[1])
    return StoredRun(
        name=name,
        experiment=experiment,
        config=config,
        environment=dict(directory.flat(read_environment(path))),
        history=history,
        test=test,
        pictures={stem: file.read_bytes() for stem, file in pictures.items() if stem not in _REDRAWN},
        samples_step=samples_step,
        folder=folder,
    )


def _test(path: Path) -> dict[str, Any] | None:
    """Returns the results in `result.json`; None if the file is absent."""
    try:
        result = directory.read_object(path)
    except FileNotFoundError:
        return None
    test = result.get("test")
    if not (isinstance(test, dict) and "step" in test):
        raise InputError(f"{path}: is damaged, it has no results of the test split")
    try:
        check_numbers(test)
    except TypeError as error:
        raise InputError(f"{path}: is damaged, in test {error}") from error
    return test
