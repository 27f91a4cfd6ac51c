"""Finds data sets that TensorFlow Datasets has prepared, by name, without imports and without network."""

import difflib
import json
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from genjax_models.errors import InputError

_SLICE = r"(?:\[[^\]]*\])?"
_SPEC = re.compile(rf"(?P<name>.+?)(?::(?P<split>[a-zA-Z_]\w*{_SLICE}(?:\+\w+{_SLICE})*))?", re.DOTALL)
_NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[\w.+-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FILES = "dataset_info.json", "features.json"
_FORMAT = "array_record"


class PreparedVersion(NamedTuple):
    """A folder of prepared data, `DATA_DIR/name[/config]/version`."""

    name: str
    config: str
    version: str
    path: Path

    @property
    def full_name(self) -> str:
        """Returns `name[/config]:version`, by which `load` finds it."""
        return f"{self.name}{'/' * bool(self.config)}{self.config}:{self.version}"


def prepared_versions(data_dir: Path) -> list[PreparedVersion]:
    """Returns the prepared data sets on disk, oldest versions first."""
    versions = []
    for name in _folders(data_dir):
        for folder in _folders(name):
            if _VERSION.fullmatch(folder.name):
                versions.append(PreparedVersion(name.name, "", folder.name, folder))
            else:
                versions += [
                    PreparedVersion(name.name, folder.name, version.name, version)
                    for version in _folders(folder)
                    if _VERSION.fullmatch(version.name)
                ]
    versions = [one for one in versions if _is_prepared(one.path)]
    return sorted(versions, key=lambda one: (one.name, one.config, tuple(map(int, one.version.split(".")))))


def locate(where: str, spec: str) -> tuple[Path, str | None]:
    """Returns the folder of `spec`, and its split or None; `where` begins the errors.

    Raises:
      InputError: the data set is not prepared, or is prepared in several configurations.
    """
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InputError(f"{where}: accepted are tfds:NAME and tfds:NAME:SPLIT")
    name, split = match["name"], match["split"]
    try:
        if name.startswith(("/", "~", ".")):
            whole, path = Path(spec).expanduser(), Path(name).expanduser()
            if _is_prepared(whole):
                return whole, None
            if _is_prepared(path):
                return path, split
            raise InputError(f"{where}: {str(path)!r} is not a prepared data set; it needs {' and '.join(_FILES)}")
        data_dir = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
        return _newest(where, name, data_dir), split
    except (OSError, RuntimeError) as error:  # no permission, a name too long, a user without a home
        raise InputError(f"{where}: cannot be read ({error})") from error


def check_format(where: str, path: Path) -> None:
    """Refuses a folder that is not stored as array_record, before anything is imported.

    Raises:
      InputError: names the format, or the damaged file.
    """
    file = path / _FILES[0]
    try:
        info = json.loads(file.read_bytes())
        file_format, name = info.get("fileFormat", "tfrecord"), info["name"]
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: {file} is damaged ({type(error).__name__}: {error})") from error
    if file_format != _FORMAT:
        why = "which may drop rows in silence" if file_format == "parquet" else "which only TensorFlow reads"
        raise InputError(f"{where}: is stored as {file_format}, {why}; accepted is {_FORMAT}: {_how_to_prepare(name)}")


def check_classes(where: str, path: Path, accepted: Collection[str]) -> None:
    """Refuses a folder that names other feature classes than `accepted`: their modules would be imported by name.

    Raises:
      InputError: names the file and the class, or the damaged file.
    """
    for file in (path / name for name in _FILES):
        try:
            others = sorted(set(_classes_in(json.loads(file.read_bytes()))) - set(accepted))
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: {file} is damaged ({type(error).__name__}: {error})") from error
        if others:
            raise InputError(
                f"{where}: {file} names the class {others[0]!r}; accepted are the feature classes of TensorFlow"
                " Datasets, such as tensorflow_datasets.core.features.image_feature.Image"
            )


def _classes_in(value: Any) -> Iterator[str]:
    """Yields the names of feature classes in a JSON document, also in documents that are stored in it as text."""
    if isinstance(value, list):
        for part in value:
            yield from _classes_in(part)
    if not isinstance(value, dict):
        return
    for name, part in value.items():
        if name in ("pythonClassName", "python_class_name") or (name == "type" and "content" in value):
            yield str(part)
        elif name == "json" and isinstance(part, str):
            yield from _classes_in(json.loads(part))
        else:
            yield from _classes_in(part)


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []


def _is_prepared(path: Path) -> bool:
    return all((path / file).is_file() for file in _FILES)


def _newest(where: str, full_name: str, data_dir: Path) -> Path:
    match = _NAME.fullmatch(full_name)
    if match is None:
        raise InputError(
            f"{where}: {full_name!r} is not the name of a data set; accepted are name, name/config, name:1.0.0"
        )
    versions = prepared_versions(data_dir)
    suits = lambda one: all(match[part] in (None, getattr(one, part)) for part in ("name", "config", "version"))
    fitting = [one for one in versions if suits(one)]
    configs = sorted({one.config for one in fitting})
    if len(configs) > 1:
        accepted = ", ".join(f"{match['name']}{'/' * bool(config)}{config}" for config in configs)
        raise InputError(f"{where}: is prepared in {len(configs)} configurations; accepted are {accepted}")
    if fitting:
        return fitting[-1].path
    names = {one.name for one in versions}
    nearest = difflib.get_close_matches(match["name"].casefold(), names - {match["name"]}, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest and match["name"] not in names else ""
    raise InputError(
        f"{where}: {full_name!r} is not prepared in {data_dir}{hint}; prepared are"
        f" {', '.join(one.full_name for one in versions) or 'none'}; {_how_to_prepare(full_name)}"
    )


def _how_to_prepare(name: str) -> str:
    return f"prepare it on a machine with TensorFlow: `tfds build {name} --file_format={_FORMAT}`"
