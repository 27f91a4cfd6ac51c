"""Finds the damage of a run's directory, without compute.

The manifest of each checkpoint binds what the run was when it was saved: config, environment, rows of `metrics.jsonl`
and stored samples. Damage is fatal if it cannot be made good: the run does not resume then.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from genjax_models.errors import CheckpointError, DamagedError, InputError
from genjax_models.runs import checkpoints, directory
from genjax_models.runs.metrics_file import digest_of_rows

MAY_CHANGE = {"training.steps", "training.evaluate_every", "training.log_every"}  # of a config, when a run resumes


class Damage(NamedTuple):
    """A damaged file.

    fault: the damage, as a clause without the subject.
    fatal: whether it cannot be made good: the run can then neither resume nor be reported.
    """

    file: Path
    fault: str
    fatal: bool = True

    def __str__(self) -> str:
        return f"{self.file}: {self.fault}"


def damages(run: Path) -> list[Damage]:
    """Returns the damage of a run, or of all members in a directory.

    Raises:
      InputError: no run is there.
    """
    if not (run.is_dir() and any((run / name).exists() for name in ("config.json", directory.MEMBERS, "checkpoints"))):
        raise InputError(f"{run}: holds no run (no config.json)")
    if links := [Damage(path, "is a symbolic link; the files of a run must be its own") for path in _links(run)]:
        return links
    if not (run / directory.MEMBERS).exists():
        return list(_damages_of_member(run))
    try:
        members = directory.read_members(run)
        directory.read_config_json(run, directory.MEMBERS)
    except InputError as error:
        return [Damage(run / directory.MEMBERS, _fault(error, run / directory.MEMBERS))]
    return [damage for name in members for damage in _damages_of_member(run / name)]


def check_config(stored: Mapping[str, Any], manifest: Mapping[str, Any], path: Path) -> None:
    """Compares `stored`, the content of the file `path`, with the config in the manifest of a checkpoint.

    Raises:
      CheckpointError: they differ in other fields than those that may change; names the fields and both values.
    """
    saved = manifest["about"]
    if "config" not in saved:
        return
    if stored["experiment"] != saved["experiment"]:
        raise CheckpointError(f"{path}: the checkpoints are of {saved['experiment']}, not of {stored['experiment']}")
    here, there = (
        dict(directory.flat({**about["config"], "start_from": about.get("start_from", {})}))
        for about in (stored, saved)
    )
    names = [name for name in sorted({*here, *there} - MAY_CHANGE) if here.get(name) != there.get(name)]
    if names:
        differences = "; ".join(
            f"{name} is {here.get(name, 'absent')}, the checkpoints have {there.get(name, 'no such field')}"
            for name in names[:3]
        )
        raise CheckpointError(f"{path}: is not the config of its checkpoints: {differences} ({len(names)} in all)")


def _links(run: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(run):
        if "wandb" in folders and not Path(folder, "wandb").is_symlink():
            folders.remove("wandb")  # W&B makes links to its own logs
        yield from (path for name in (*folders, *files) if (path := Path(folder, name)).is_symlink())


def _damages_of_member(run: Path) -> Iterator[Damage]:
    config, stored = run / "config.json", None
    try:
        stored = directory.read_config_json(run)
    except InputError as error:
        yield Damage(config, _fault(error, config))
    folder = run / "checkpoints"
    manifests = {}
    for step in checkpoints.steps(folder):
        try:
            manifests[step] = checkpoints.verified_manifest(folder / f"{step:08d}")
        except DamagedError as error:
            yield Damage(folder / f"{step:08d}", _fault(error, folder / f"{step:08d}"), fatal=False)
        except CheckpointError as error:
            yield Damage(folder / f"{step:08d}", str(error))
    if not manifests:
        if has_started(run):
            yield Damage(folder, "holds no undamaged checkpoint of a run that has started")
        return
    for step, manifest in manifests.items():
        if stored is not None:
            try:
                check_config(stored, manifest, config)
            except CheckpointError as error:
                yield Damage(folder / f"{step:08d}", _fault(error, config))
                break
    record = manifests[max(manifests)]["about"].get("record")
    if record is not None:
        yield from _damages_of_record(run, record)
    with contextlib.suppress(FileNotFoundError):
        try:
            directory.read_object(run / "result.json")
        except InputError as error:
            yield Damage(run / "result.json", _fault(error, run / "result.json"), fatal=False)


def _damages_of_record(run: Path, record: Mapping[str, Any]) -> Iterator[Damage]:
    metrics = run / "metrics.jsonl"
    count, digest = digest_of_rows(metrics, record["rows"])
    if count < record["rows"]:
        yield Damage(metrics, f"has {count} whole rows, the newest checkpoint counts on {record['rows']}")
    elif digest != record["digest"]:
        yield Damage(metrics, f"one of its first {count} rows was changed")
    try:
        environment = directory.read_object(run / "environment.json")
    except (InputError, FileNotFoundError):
        environment = None
    if environment != record["environment"]:
        yield Damage(run / "environment.json", "is not the environment of the first start", fatal=False)
    for name, digest in record["samples"].items():
        path = run / "figures" / name
        if not path.is_file() or checkpoints.digest_of_file(path) != digest:
            fault = "was changed" if path.is_file() else "is missing"
            yield Damage(path, fault, fatal=path.suffix == ".npy")


def has_started(run: Path) -> bool:
    """Returns whether the run has got beyond its first checkpoint, which is at step 0.

    A run that was killed before its first checkpoint has at most the rows of step 0, and begins anew.
    """
    if any((run / "checkpoints").glob("*.damaged")) or checkpoints.steps(run / "checkpoints"):
        return True
    try:
        lines = (run / "metrics.jsonl").read_bytes().splitlines()
    except OSError:
        return False
    return len(lines) > 1 or (run / "result.json").exists()


def _fault(error: Exception, path: Path) -> str:
    """Returns the message without the path in front, which the reader is told anyway."""
    return str(error).removeprefix(f"{path}").removeprefix(": ").strip()
