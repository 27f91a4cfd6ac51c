"""What a run left in its directory, finished or not, for those who look at several."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genjax_models.errors import InputError
from genjax_models.runs import directory
from genjax_models.runs.protocol import Experiment

_DRAWN_ANEW = ("curves",)
NOTHING = "\N{EN DASH}"


class StoredRun(NamedTuple):
    """What a run left. `config` and `environment` are flat; `test` is None for a run that has not finished.

    `pictures` are PNG files by name; `drawn` says at which step the samples of an unfinished run were drawn.
    """

    name: str
    experiment: Experiment
    config: Mapping[str, str]
    environment: Mapping[str, str]
    history: Sequence[Mapping[str, Any]]
    test: Mapping[str, Any] | None
    pictures: Mapping[str, bytes]
    drawn: int | None

    @property
    def seed(self) -> str:
        """As its config has it."""
        return self.config.get("seed", NOTHING)


def read_run(path: Path, experiment: Experiment, name: str) -> StoredRun:
    """The run in a directory.

    Args:
      path: of the run.
      experiment: to which it belongs.
      name: by which it is called.

    Raises:
      InputError: no run there, or a file of it is damaged.
    """
    pictures = {file.stem: file for file in sorted((path / "figures").glob("*.png"))}
    numbered = {stem: file for stem, file in pictures.items() if re.fullmatch(r"samples_\d+", stem)}
    shown = {stem: file for stem, file in pictures.items() if stem == "samples" or not re.match(r"samples?_\d", stem)}
    config = dict(directory.flat(directory.read_config_json(path)["config"]))
    history, test, drawn = _rows(path / "metrics.jsonl"), _test(path / "result.json"), None
    if history and history[-1]["step"] < int(config.get("training.steps", 0)):
        test = None  # of before the run was resumed to go on for longer
    if test is None and numbered:
        shown["samples"] = max(numbered.values())
        drawn = int(shown["samples"].stem.split("_")[1])
    return StoredRun(
        name=name,
        experiment=experiment,
        config=config,
        environment=dict(directory.flat(_json(path / "environment.json") or {})),
        history=history,
        test=test,
        pictures={stem: file.read_bytes() for stem, file in shown.items() if stem not in _DRAWN_ANEW},
        drawn=drawn,
    )


def _test(path: Path) -> dict[str, Any] | None:
    """The results in `result.json`, None where there is no such file."""
    result = _json(path)
    if result is None:
        return None
    test = result.get("test")
    if not (isinstance(test, dict) and "step" in test):
        raise InputError(f"{path}: is damaged, it has no results of the test split")
    return test


def _json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged, it holds no object")
    return value


def _rows(path: Path) -> list[dict[str, Any]]:
    """Rows of `metrics.jsonl`. A last line without its end is of a run that is writing it, or was killed there."""
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text().splitlines(keepends=True), 1):
        if line.endswith("\n"):
            try:
                row = json.loads(line)
                rows.append({"step": int(row["step"]), "split": str(row["split"]), **row})
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}: line {number} is damaged ({type(error).__name__}: {error})") from error
    return rows
