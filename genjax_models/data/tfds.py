"""Data sets that TensorFlow Datasets has prepared on this machine: read without TensorFlow, and never downloaded."""

import difflib
import hashlib
import io
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from genjax_models.data import image, image_cache, records
from genjax_models.data.dataset import Dataset, Split, from_arrays, hold_out_tenth, split_in_ten
from genjax_models.data.image_cache import in_parallel
from genjax_models.data.records import Records
from genjax_models.errors import InputError

_SLICE = r"(?:\[[^\]]*\])?"
_SPEC = re.compile(rf"(?P<name>.+?)(?::(?P<split>[a-zA-Z_]\w*{_SLICE}(?:\+\w+{_SLICE})*))?", re.DOTALL)
_NAME = re.compile(r"(?P<name>\w+)(?:/(?P<config>[\w.+-]+))?(?::(?P<version>\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FILES = "dataset_info.json", "features.json"
_FORMAT = "array_record"
_MODES = {1: "L", 3: "RGB"}


class PreparedVersion(NamedTuple):
    """A folder of prepared data, `DATA_DIR/name[/config]/version`."""

    name: str
    config: str
    version: str
    path: Path

    @property
    def full_name(self) -> str:
        """As it is asked for."""
        return f"{self.name}{'/' * bool(self.config)}{self.config}:{self.version}"


def load(spec: str, *, stream: bool = False) -> Dataset:
    """Returns the images of a prepared data set, and its labels if it has any.

    With `NAME:SPLIT`, as in `mnist:train[:1000]`, one fixed shuffle makes splits of 80, 10 and 10 percent. With `NAME`
    the splits are the data set's own `train`, `validation` and `test`: where `validation` is not there it is a tenth of
    training; where `test` is not there `validation` takes its place; where neither is, `train` is shuffled and split as
    above. Copies of one image stay in one split where splits are made here; in official splits, held-out images that
    are training images too are kept, and counted in the provenance.

    The image is the first of the supervised keys, or else the only image; the label is the second, or else the only
    class label.

    Args:
      spec: `NAME[:SPLIT]`; `NAME` is `name`, `name/config`, either followed by `:version`, or the path of a folder
        that holds dataset_info.json and features.json. Names are looked up in `$TFDS_DATA_DIR`, by default
        ~/tensorflow_datasets; the newest version is taken.
      stream: leaves training images on disk, decoded, as `data.load` says.

    Raises:
      InputError: not prepared (it says by what command it would be), not as array_record, damaged (in which file),
        without an image of 8 bits or with several, or with images of different sizes.
    """
    where = f"tfds:{spec}"
    path, split = _found(where, spec)
    _check_format(where, path)
    builder = _builder(where, path)
    keys = _keys(where, builder.info)
    read = lambda split: _read(where, builder, split, *keys, stream=stream)
    splits, note = _official(where, builder.info.splits, read) if split is None else split_in_ten(where, read(split))
    return from_arrays(
        *splits,
        name=where,
        num_classes=cast(Any, builder.info.features)[keys[1]].num_classes if keys[1] else None,
        provenance=f"{builder.info.full_name} of TensorFlow Datasets, prepared in {path}{note}",
        overlap="report",
    )


def prepared(data_dir: Path) -> list[PreparedVersion]:
    """Returns the prepared data sets on disk, oldest versions first, without imports and network."""
    found = []
    for name in _folders(data_dir):
        for folder in _folders(name):
            if _VERSION.fullmatch(folder.name):
                found.append(PreparedVersion(name.name, "", folder.name, folder))
            else:
                found += [
                    PreparedVersion(name.name, folder.name, version.name, version)
                    for version in _folders(folder)
                    if _VERSION.fullmatch(version.name)
                ]
    found = [one for one in found if _is_prepared(one.path)]
    return sorted(found, key=lambda one: (one.name, one.config, tuple(map(int, one.version.split(".")))))


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []


def _is_prepared(path: Path) -> bool:
    return all((path / file).is_file() for file in _FILES)


def _found(where: str, spec: str) -> tuple[Path, str | None]:
    """The folder of a specification, and its split."""
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
            raise InputError(f"{where}: {str(path)!r} is no prepared data set, which holds {' and '.join(_FILES)}")
        data_dir = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
        return _newest(where, name, data_dir), split
    except (OSError, RuntimeError) as error:  # no permission, a name too long, nobody's home
        raise InputError(f"{where}: cannot be read ({error})") from error


def _newest(where: str, asked: str, data_dir: Path) -> Path:
    match = _NAME.fullmatch(asked)
    if match is None:
        raise InputError(f"{where}: {asked!r} is no name of a data set; accepted are name, name/config, name:1.0.0")
    here = prepared(data_dir)
    suits = lambda one: all(match[part] in (None, getattr(one, part)) for part in ("name", "config", "version"))
    fitting = [one for one in here if suits(one)]
    configs = sorted({one.config for one in fitting})
    if len(configs) > 1:
        accepted = ", ".join(f"{match['name']}{'/' * bool(config)}{config}" for config in configs)
        raise InputError(f"{where}: is prepared in {len(configs)} configurations; accepted are {accepted}")
    if fitting:
        return fitting[-1].path
    names = {one.name for one in here}
    nearest = difflib.get_close_matches(match["name"].casefold(), names - {match["name"]}, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest and match["name"] not in names else ""
    raise InputError(
        f"{where}: {asked!r} is not prepared in {data_dir}{hint}; prepared are"
        f" {', '.join(one.full_name for one in here) or 'none'}; {_how_to_prepare(asked)}"
    )


def _how_to_prepare(name: str) -> str:
    return f"where TensorFlow is installed, `tfds build {name} --file_format={_FORMAT}` prepares it"


def _check_format(where: str, path: Path) -> None:
    """Before anything is imported."""
    file = path / _FILES[0]
    try:
        info = json.loads(file.read_bytes())
        found, name = info.get("fileFormat", "tfrecord"), info["name"]
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{where}: {file} is damaged ({type(error).__name__}: {error})") from error
    if found != _FORMAT:
        why = "which may drop rows in silence" if found == "parquet" else "which only TensorFlow reads"
        raise InputError(f"{where}: is stored as {found}, {why}; accepted is {_FORMAT}: {_how_to_prepare(name)}")


def _builder(where: str, path: Path):
    try:
        import array_record  # noqa: F401
        import importlib_resources  # noqa: F401
        import PIL  # noqa: F401
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(f"{where}: {error.name} is not installed: pip install 'genjax_models[tfds]'") from error
    try:
        return tensorflow_datasets.builder_from_directory(path)
    except Exception as error:
        raise InputError(f"{where}: {path} is damaged ({_line(error)})") from error


def _keys(where: str, info) -> tuple[str, str | None]:
    """Names of the features that are image and label."""
    import tensorflow_datasets as tfds

    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    supervised = [key for key in info.supervised_keys or () if isinstance(key, str)]
    chosen_images = [key for key in supervised if key in images][:1] or images
    chosen_labels = [key for key in supervised if key in labels][:1] or labels
    if len(chosen_images) != 1:
        raise InputError(f"{where}: has {len(images)} images among its features {sorted(features)}; accepted is one")
    feature: Any = features[chosen_images[0]]
    if feature.np_dtype != np.uint8 or feature.shape[-1] not in _MODES:
        raise InputError(
            f"{where}: the image {chosen_images[0]!r} is {np.dtype(feature.np_dtype)} of shape {feature.shape};"
            " accepted is uint8 of 1 or 3 channels"
        )
    return chosen_images[0], chosen_labels[0] if len(chosen_labels) == 1 else None


def _official(where: str, splits, read) -> tuple[list[Split], str]:
    if "train" not in splits:
        raise InputError(
            f"{where}: has no split train, only {', '.join(splits)}; accepted is one of these: tfds:NAME:SPLIT"
        )
    held_out = [name for name in ("validation", "test") if name in splits]
    if not held_out:
        return split_in_ten(where, read("train"))
    if len(held_out) == 2:
        return [read(name) for name in ("train", *held_out)], "; its own splits"
    made, note = hold_out_tenth(where, read("train"))
    return [*made, read(held_out[0])], f"; test is its own split {held_out[0]}{note}"


def _read(where: str, builder, split: str, image_key: str, label_key: str | None, *, stream: bool) -> Split:
    import tensorflow_datasets as tfds

    try:
        source = builder.as_data_source(split=split, decoders={image_key: tfds.decode.SkipDecoding()})
        size = len(source)
    except ValueError as error:
        accepted = f"{', '.join(builder.info.splits)}, and slices of them such as train[:1000]"
        raise InputError(f"{where}: no split {split!r} ({_line(error)}); accepted are {accepted}") from error
    except Exception as error:
        raise InputError(f"{where}: the split {split!r} is damaged ({_line(error)})") from error
    if not size:
        raise InputError(f"{where}: the split {split!r} is empty")
    mode = _MODES[builder.info.features[image_key].shape[-1]]

    def example(row: int) -> tuple[np.ndarray, int | None]:
        try:
            record = source[row]
            x = image.decode_as(io.BytesIO(record[image_key]), mode, max_pixels=image.MAX_PIXELS)
        except image.TooLargeError as error:
            raise InputError(
                f"{where}: split {split!r}, row {row} is an image of {error}; accepted are at most {image.MAX_PIXELS}"
            ) from error
        except Exception as error:  # the reader raises a dozen kinds on damaged bytes
            file = _file_of(builder.info.splits[split].file_instructions, row)
            raise InputError(
                f"{where}: split {split!r}, row {row} cannot be read ({_line(error)}), in {file}"
            ) from error
        return x, record[label_key] if label_key else None

    labels, shape = cast(Any, []), None

    def images() -> Iterator[np.ndarray]:
        nonlocal shape
        with closing(in_parallel(example, range(size), "reading")) as results:
            for row, (x, label) in enumerate(results):
                shape = shape or x.shape
                if x.shape != shape:
                    raise InputError(
                        f"{where}: split {split!r}, row {row} is of shape {x.shape}, row 0 of {shape};"
                        " accepted are images of one size"
                    )
                labels.append(label)
                yield x

    with warnings.catch_warnings(action="ignore"):
        if stream:
            key = _key(where, builder.info.splits[split].file_instructions, (mode, image_key, label_key))
            x, labels = _on_disk(key, images(), labels if label_key else None)
        else:
            x = np.stack(list(images()))
    return Split(x, np.array(labels, np.int32) if label_key else None)


def _on_disk(key: str, images: Iterator[np.ndarray], labels: list[int] | None) -> tuple[Records, Any]:
    """Records of images that were decoded before, or are now, and the labels that they had then; `labels` are filled
    as images come."""
    file = image_cache.cleaned(image_cache.default_folder()) / f"{key}.records"
    if (found := records.kept(file)) is not None:
        return found[0], found[1].get("labels")
    return records.keep(file, images, {} if labels is None else {"labels": labels}), labels


def _key(where: str, instructions, *how) -> str:
    """sha256 of what the files of a split hold, of which rows are read of them, and how."""
    key = hashlib.sha256(f"genjax_models tfds 1 {how}".encode())
    for one in instructions:
        try:
            with open(one.filename, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise InputError(f"{where}: {one.filename} cannot be read ({error.strerror})") from error
        key.update(f"{one.skip} {one.take} ".encode() + digest)
    return key.hexdigest()


def _file_of(instructions, row: int) -> str:
    """The file that holds a row of a split."""
    ends = np.cumsum([one.take for one in instructions])
    return instructions[int(np.searchsorted(ends, row, side="right"))].filename


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
