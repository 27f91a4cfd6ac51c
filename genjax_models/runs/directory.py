"""A run's directory: what was asked, where it ran, what came out.

config.json        the experiment's name and its config
environment.json   versions, devices, git revision
metrics.jsonl      one row of the history a line; no clock in it, so that equal runs write equal files
checkpoints/       the newest and the best by held-out score
figures/           PNG
result.json        the final figures with their errors
report.html        all of it on one page
export/            what `experiments.export` makes of it
profile/           traces

Several runs that are one program (--seeds, --sweep) lie in one directory: a directory as above for each member, and

members.json       what they share, and what each has of its own
report.html        all of them on one page
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genjax_models.errors import InputError
from genjax_models.runs import lock
from genjax_models.runs.members import ALONE, Members

MEMBERS = "members.json"
_PACKAGES = ("genjax_models", "jax", "jaxlib", "flax", "optax", "distrax", "chex", "orbax-checkpoint", "numpy")


def create(path: Path | None, experiment: str, *, overwrite: bool = False) -> Path:
    """A new, empty run directory.

    Args:
      path: where; by default `runs/<experiment>-<UTC time>`, numbered where two start in one second.
      experiment: its name.
      overwrite: replace a run that is already there.

    Raises:
      InputError: the name is not made of letters, digits, '.', '_' and '-', something is there already, or it cannot be
        written to.
    """
    if path is None:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        names = (f"{experiment}-{stamp}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 1000))))
        path = next(Path("runs") / name for name in names if not (Path("runs") / name).exists())
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,255}", path.name) or path.name in (".", ".."):
        raise InputError(f"--run-dir {str(path)!r}: a run's name is made of letters, digits, '.', '_' and '-'")
    if path.is_symlink():
        raise InputError(f"--run-dir {path}: is a symbolic link, and nothing is written through one")
    if path.exists():
        _make_way(path, overwrite)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _probe(path)
    except OSError as error:
        raise InputError(f"--run-dir {path}: cannot be made or written to ({error.strerror})") from error
    return path.resolve()


def reopen(path: Path) -> Path:
    """The directory of a run that is to go on.

    Raises:
      InputError: it cannot be written to.
    """
    try:
        _probe(path)
    except OSError as error:
        raise InputError(f"--resume {path}: cannot be written to ({error.strerror})") from error
    return path.resolve()


def _probe(folder: Path) -> None:
    """One byte, written and gone: a full disk or a quota says so here, not after hours of compute."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"\0")
        os.fsync(file.fileno())


def _make_way(path: Path, overwrite: bool) -> None:
    if not path.is_dir():
        raise InputError(f"--run-dir {path}: is a file; a new directory is wanted")
    if not any(path.iterdir()):
        return
    if not overwrite:
        raise InputError(f"--run-dir {path}: exists already; choose another, or replace it with --overwrite")
    if not ((path / "config.json").is_file() or (path / MEMBERS).is_file()):
        raise InputError(f"--run-dir {path}: holds no run (no config.json), so --overwrite does not delete it")
    with contextlib.ExitStack() as locks:
        for folder in (path, *(config.parent for config in path.glob("*/config.json"))):
            locks.enter_context(lock.locked(folder))
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)  # which follows no links
            elif entry.name != lock.NAME:
                entry.unlink()


def write_json(path: Path, value: Any) -> None:
    """One JSON document, replaced whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=2, default=str) + "\n")
    os.replace(partial, path)


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """One more line of `metrics.jsonl`."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def cut_rows(path: Path, step: int) -> list[dict[str, Any]]:
    """Cuts `metrics.jsonl` back to the rows of steps up to `step`, which it returns.

    A last line that a killed process left unfinished is cut off too.
    """
    rows = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    rows = [row for row in rows if row["step"] <= step]
    partial = path.with_name(path.name + ".partial")
    partial.write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.replace(partial, path)
    return rows


def config_as_json(experiment: str, config: Any) -> dict[str, Any]:
    """What `config.json` holds."""
    return {"experiment": experiment, "config": dataclasses.asdict(config)}


def read_config(run: Path | str, config_class: type, experiment: str | None = None, file: str = "config.json") -> Any:
    """The config in a run's directory, as an instance of `config_class`; with `MEMBERS` for `file` what members share.

    Raises:
      InputError: no run there, or of another experiment, or with fields that the config does not have.
    """
    return as_config(read_config_json(run, file), config_class, Path(run) / file, experiment)


def as_config(stored: Mapping[str, Any], config_class: type, path: Path, experiment: str | None = None) -> Any:
    """What `read_config_json` read at `path`, as `read_config` gives it.

    Raises:
      InputError: as `read_config`.
    """
    if experiment and stored["experiment"] != experiment:
        raise InputError(f"{path.parent}: is a run of {stored['experiment']!r}, not of {experiment!r}")
    return _from_dict(config_class, stored["config"], path)


def read_members(run: Path | str) -> Members:
    """The members in a directory; of a run alone, itself."""
    if not (Path(run) / MEMBERS).exists():
        return ALONE
    members = read_config_json(run, MEMBERS).get("members")
    if not isinstance(members, dict) or not members:
        raise InputError(f"{Path(run) / MEMBERS}: is damaged, it names no members")
    return members


def read_config_json(run: Path | str, file: str = "config.json") -> dict[str, Any]:
    """`config.json` as it stands: "experiment" and "config"."""
    path = Path(run) / file
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError as error:
        if (Path(run) / MEMBERS).exists():
            raise InputError(f"{run}: holds several runs; name one, {', '.join(read_members(run))}") from error
        raise InputError(f"{run}: holds no run (no config.json)") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(stored, dict) or not {"experiment", "config"} <= set(stored):
        raise InputError(f"{path}: is damaged, it names no experiment and config")
    return stored


def _from_dict(config_class: type, values: Mapping[str, Any], where: Path):
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    if unknown := sorted(set(values) - set(fields)):
        raise InputError(f"{where}: has fields {unknown} that {config_class.__module__} does not know")
    made = {}
    for name, value in values.items():
        default = fields[name].default
        if dataclasses.is_dataclass(default):
            value = _from_dict(type(default), value, where)
        made[name] = tuple(value) if isinstance(value, list) else value
    return config_class(**made)


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as rows of dotted name and text."""
    rows = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows.append((prefix + name, shown))
    return rows


def environment(command: str) -> dict[str, Any]:
    """The command, versions, devices and git revision: what a figure was measured on."""
    import jax

    return {
        "command": command,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
        "versions": {name: _version(name) for name in _PACKAGES},
        "git": _git_revision(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision() -> str | None:
    here = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
