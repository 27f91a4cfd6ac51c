"""The directory of a run.

config.json        dotted name of the experiment's module, its config, and the run that it started from, if any
environment.json   command, folder, versions, devices, git revision
metrics.jsonl      history, one row a line; no clock in it, so that equal runs write equal files
metrics.csv        the same rows as a table; a run that resumes writes it anew
checkpoints/       the newest checkpoints, and the best by held-out metric
figures/           PNG
result.json        results of the test split, with standard errors
report.html        results, findings and figures on one page
export/            output of `genjax-models export`
profile/           traces of steps
tensorboard/       event files of --tensorboard
wandb/             files of --wandb, and the run's id

The runs of --seeds and --sweep share a directory. It holds one such directory per member, and

members.json       the shared config, the values of each member, and whether members train together or in turn
report.html        all members on one page
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typeguard

from genjax_models.errors import InputError
from genjax_models.runs import lock
from genjax_models.runs.members import ALONE, Members

MEMBERS = "members.json"
FORMAT = 2  # of config.json


def create(path: Path | None, experiment: str, *, overwrite: bool = False) -> Path:
    """Makes a new, empty run directory and returns it.

    Args:
      path: its place. Default: `runs/<experiment>-<UTC time>`, numbered if two start in one second.
      experiment: name of the experiment.
      overwrite: whether to replace a run in that place.

    Raises:
      InputError: the name has characters other than letters, digits, '.', '_' and '-', the place is taken, or it cannot
        be written to.
    """
    if path is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        names = (f"{experiment}-{stamp}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
        path = next(Path("runs") / name for name in names if not (Path("runs") / name).exists())
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", path.name) or path.name in (".", ".."):
        raise InputError(f"--run-dir {str(path)!r}: a run's name must consist of letters, digits, '.', '_' and '-'")
    if path.is_symlink():
        raise InputError(f"--run-dir {path}: is a symbolic link; name the directory itself")
    if path.exists():
        _make_way(path, overwrite)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _probe(path)
    except OSError as error:
        raise InputError(f"--run-dir {path}: cannot be made or written to ({error.strerror})") from error
    return path.resolve()


def reopen(path: Path) -> Path:
    """Returns the directory of a run that resumes.

    Raises:
      InputError: it cannot be written to.
    """
    try:
        _probe(path)
    except OSError as error:
        raise InputError(f"--resume {path}: cannot be written to ({error.strerror})") from error
    return path.resolve()


def _probe(folder: Path) -> None:
    """Writes one byte and deletes it: a full disk fails here, not after hours of compute."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"\0")
        os.fsync(file.fileno())


def _make_way(path: Path, overwrite: bool) -> None:
    if not path.is_dir():
        raise InputError(f"--run-dir {path}: is a file; name a directory")
    if not any(path.iterdir()):
        return
    never_begun = {entry.name for entry in path.iterdir()} <= {lock.NAME, "figures"}  # killed before its config
    if not overwrite:
        raise InputError(f"--run-dir {path}: exists already; name another, or replace it with --overwrite")
    if not (never_begun or (path / "config.json").is_file() or (path / MEMBERS).is_file()):
        raise InputError(f"--run-dir {path}: holds no run (no config.json); --overwrite replaces only runs")
    with contextlib.ExitStack() as locks:
        for folder in (path, *(config.parent for config in path.glob("*/config.json"))):
            locks.enter_context(lock.locked(folder))
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)  # rmtree follows no links
            elif entry.name != lock.NAME:
                entry.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON document, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all, and waits until it is on disk."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with partial.open("x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_object(path: Path) -> dict[str, Any]:
    """Returns the JSON object in a file.

    Raises:
      FileNotFoundError: there is no such file.
      InputError: the file cannot be read, or holds no JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged, it holds no JSON object")
    return value


def config_as_json(module: str, config: Any, start_from: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Returns the content of `config.json`: the format, the dotted name of the experiment's module, and the config.

    A run that began with the players of another run also has the record `start_from` (`runs.starting`).
    """
    more = {} if start_from is None else {"start_from": dict(start_from)}
    return {"format": FORMAT, "experiment": module, "config": dataclasses.asdict(config), **more}


def json_of(value: Any) -> Any:
    """Returns a value as it is after it was written to JSON and read: tuples are lists."""
    return json.loads(json.dumps(value, default=str))


def read_config(run: Path | str, config_class: type, module: str | None = None, file: str = "config.json") -> Any:
    """Returns the config in a run's directory as an instance of `config_class`; `file` may be `MEMBERS`.

    Raises:
      InputError: no run is there, or a run of another experiment, or fields that the config does not have.
    """
    return as_config(read_config_json(run, file), config_class, Path(run) / file, module)


def as_config(stored: Mapping[str, Any], config_class: type, path: Path, module: str | None = None) -> Any:
    """Returns `stored`, the content of the file `path`, as an instance of `config_class`.

    Raises:
      InputError: as `read_config`.
    """
    if module and stored["experiment"] != module:
        raise InputError(f"{path.parent}: is a run of {stored['experiment']}, not of {module}")
    return _from_dict(config_class, stored["config"], path)


def read_members(run: Path | str) -> Members:
    """Returns the members in a directory; a run on its own is the only one."""
    if not (Path(run) / MEMBERS).exists():
        return ALONE
    members = read_config_json(run, MEMBERS).get("members")
    if not isinstance(members, dict) or not members:
        raise InputError(f"{Path(run) / MEMBERS}: is damaged, it names no members")
    for name, values in members.items():
        if not name or Path(name).name != name or not isinstance(values, dict):
            raise InputError(f"{Path(run) / MEMBERS}: is damaged, the member {name!r} has no fields")
    return members


def read_config_json(run: Path | str, file: str = "config.json") -> dict[str, Any]:
    """Returns the content of `config.json`, or of `MEMBERS`.

    Raises:
      InputError: no run is there, the file is damaged, or an older version of genjax_models wrote it.
    """
    path = Path(run) / file
    try:
        stored = read_object(path)
    except FileNotFoundError as error:
        if (Path(run) / MEMBERS).exists():
            raise InputError(f"{run}: holds several runs; name one, {', '.join(read_members(run))}") from error
        raise InputError(f"{run}: holds no run (no {file})") from error
    if not (isinstance(stored.get("experiment"), str) and isinstance(stored.get("config"), dict)):
        raise InputError(f"{path}: is damaged, it names no experiment and config")
    if not isinstance(stored.get("start_from"), dict | None):
        raise InputError(f"{path}: is damaged, start_from must be an object, got {stored['start_from']!r}")
    version = stored.get("format", 1)
    if version == 1:
        raise InputError(f"{path}: this run was made by the old layout of genjax_models; train it again")
    if version != FORMAT:
        raise InputError(f"{path}: has format {version!r}; this version of genjax_models reads format {FORMAT}")
    return stored


def _from_dict(config_class: type, values: Mapping[str, Any], path: Path) -> Any:
    fields, types = {field.name: field for field in dataclasses.fields(config_class)}, get_type_hints(config_class)
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(f"{path}: has fields {unknown} that {config_class.__module__} does not have")
    arguments = {}
    for name, value in values.items():
        default = fields[name].default
        if dataclasses.is_dataclass(default):
            if not isinstance(value, Mapping):
                raise InputError(f"{path}: {name} must be a group of fields, got {value!r}")
            value = _from_dict(type(default), value, path)
        value = _from_json(value, types[name])
        try:
            typeguard.check_type(value, types[name])
        except typeguard.TypeCheckError as error:
            raise InputError(f"{path}: {name} has a value of another type: {error}") from error
        arguments[name] = value
    return config_class(**arguments)


def _from_json(value: Any, hint: Any) -> Any:
    """Returns a field's value from JSON, which has lists for tuples and text for paths."""
    if isinstance(value, list):
        return tuple(_from_json(entry, None) for entry in value)
    if isinstance(value, str) and Path in (hint, *get_args(hint)):
        return Path(value)
    return value


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Returns nested values as rows of dotted name and text."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((prefix + name, text))
    return rows
