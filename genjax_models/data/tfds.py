"""Data sets that TensorFlow Datasets has prepared on this machine, read without TensorFlow; nothing is downloaded."""

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from genjax_models.data import image, image_cache, records
from genjax_models.data.dataset import Dataset, from_splits
from genjax_models.data.factors import Factor
from genjax_models.data.image_decoding import in_parallel
from genjax_models.data.records import Records
from genjax_models.data.splits import Split, own_splits, split_in_ten
from genjax_models.data.tfds_folders import check_classes, check_format, locate
from genjax_models.errors import InputError

_MODES = {1: "L", 3: "RGB"}
_BINARY = ("dsprites",)  # stored as bytes 0 and 1
_CIRCULAR = ("label_orientation", "label_azimuth", "label_floor_hue", "label_wall_hue", "label_object_hue")
_FACTORS = {
    "dsprites": ("label_shape", "label_scale", "label_orientation", "label_x_position", "label_y_position"),
    "shapes3d": (
        "label_floor_hue",
        "label_wall_hue",
        "label_object_hue",
        "label_scale",
        "label_shape",
        "label_orientation",
    ),
    "smallnorb": ("label_category", "instance", "label_elevation", "label_azimuth", "label_lighting"),
}


class Keys(NamedTuple):
    """The features of an example that are read: the image, the label if there is one, and the known factors."""

    image: str
    label: str | None
    factors: tuple[str, ...]


def load(spec: str, *, stream: bool = False) -> Dataset:
    """Returns the images of a prepared data set, and its labels and known factors if it has any.

    With `NAME:SPLIT`, as in `mnist:train[:1000]`, one fixed shuffle makes splits of 80, 10 and 10 percent; copies of
    one image stay in one split.

    With `NAME` the splits are the data set's own `train`, `validation` and `test`. If `validation` is missing, it is a
    tenth of training. If `test` is missing, `validation` takes its place. If both are missing, `train` is shuffled and
    split as above. Held-out images of official splits that are training images too are kept, and counted in the
    provenance.

    The image is the first of the supervised keys, or the only image. The label is the second of the supervised keys,
    or the only class label. dsprites, shapes3d and smallnorb have factors: the numbers of their values.

    Args:
      spec: `NAME[:SPLIT]`; `NAME` is `name`, `name/config`, either followed by `:version`, or the path of a folder
        with dataset_info.json and features.json. Names are looked up in `$TFDS_DATA_DIR`, by default
        ~/tensorflow_datasets; the newest version is taken.
      stream: whether decoded training images stay on disk (see `data.load`).

    Raises:
      InputError: the data set is not prepared (the error names the command), is not stored as array_record, is damaged
        (the error names the file), has no image of 8 bits or several, has images of different sizes, or names a class
        of features that is not one of TensorFlow Datasets. TensorFlow Datasets would import its module.
    """
    where = f"tfds:{spec}"
    path, split = locate(where, spec)
    check_format(where, path)
    builder = _builder(where, path)
    keys = _keys(where, builder.info)
    read = lambda split: _read(where, builder, split, keys, stream=stream)
    if split is None:
        splits, note = own_splits(where, builder.info.splits, read, example="tfds:NAME:SPLIT")
    else:
        splits, note = split_in_ten(where, read(split))
    return from_splits(
        *splits,
        name=where,
        range=(0, 1) if builder.info.name in _BINARY else None,
        **_classes_of(builder, keys.label),
        factors=[_factor(builder, key) for key in keys.factors] or None,
        provenance=f"{builder.info.full_name} of TensorFlow Datasets, prepared in {path}{note}",
        overlap="report",
    )


def _classes_of(builder, label_key: str | None) -> dict[str, Any]:
    """Returns the number of classes and their names, if there are labels."""
    if label_key is None:
        return {}
    feature = cast(Any, builder.info.features)[label_key]
    names = feature.names if feature.num_classes else []
    return {"num_classes": feature.num_classes, "class_names": names if len(set(names)) == len(names) > 0 else None}


def _factor(builder, key: str) -> Factor:
    size = cast(Any, builder.info.features)[key].num_classes
    is_circular = key in _CIRCULAR and not (builder.info.name == "shapes3d" and key == "label_orientation")
    return Factor(key.removeprefix("label_").replace("_", " "), size, (0.0, size - 1.0), circular=is_circular)


def _builder(where: str, path: Path):
    try:
        import array_record  # noqa: F401
        import importlib_resources  # noqa: F401
        import PIL  # noqa: F401
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(f"{where}: {error.name} is not installed: pip install 'genjax_models[tfds]'") from error
    check_classes(where, path, _feature_classes())
    try:
        return tensorflow_datasets.builder_from_directory(path)
    except Exception as error:
        raise InputError(f"{where}: {path} is damaged ({_line(error)})") from error


def _feature_classes() -> set[str]:
    """Returns the dotted names of the feature classes of TensorFlow Datasets."""
    from tensorflow_datasets import features

    classes = [value for value in vars(features).values() if isinstance(value, type)]
    own = [one for one in classes if issubclass(one, features.FeatureConnector)]
    return {f"{one.__module__}.{one.__name__}" for one in own} | {alias for one in own for alias in one.ALIASES}


def _keys(where: str, info) -> Keys:
    """Returns the names of the features to read."""
    import tensorflow_datasets as tfds

    features = dict(info.features) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    supervised = [key for key in info.supervised_keys or () if isinstance(key, str)]
    chosen_images = [key for key in supervised if key in images][:1] or images
    chosen_labels = [key for key in supervised if key in labels][:1] or labels
    if len(chosen_images) != 1:
        raise InputError(f"{where}: must have one image among its features, got {len(images)} in {sorted(features)}")
    feature: Any = features[chosen_images[0]]
    if feature.np_dtype != np.uint8 or feature.shape[-1] not in _MODES:
        raise InputError(
            f"{where}: the image {chosen_images[0]!r} must be uint8 of 1 or 3 channels, got"
            f" {np.dtype(feature.np_dtype)} of shape {feature.shape}"
        )
    label = chosen_labels[0] if len(chosen_labels) == 1 else None
    return Keys(chosen_images[0], label, tuple(key for key in _FACTORS.get(info.name, ()) if key in labels))


def _source(where: str, builder, split: str, image_key: str) -> Sequence:
    """Returns the stored examples of the split, with encoded images."""
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
    return source


def _read(where: str, builder, split: str, keys: Keys, *, stream: bool) -> Split:
    source = _source(where, builder, split, keys.image)
    mode = _MODES[builder.info.features[keys.image].shape[-1]]
    names = tuple(dict.fromkeys([*([keys.label] if keys.label else []), *keys.factors]))  # a label may be a factor

    def example(row: int) -> tuple[np.ndarray, list[int]]:
        try:
            record = source[row]
            x = image.decode_as(io.BytesIO(record[keys.image]), mode, max_pixels=image.MAX_PIXELS)
        except image.TooLargeError as error:
            raise InputError(
                f"{where}: split {split!r}, row {row}: images must have at most {image.MAX_PIXELS} pixels, got {error}"
            ) from error
        except Exception as error:  # the reader raises a dozen kinds on damaged bytes
            file = _file_of(builder.info.splits[split].file_instructions, row)
            raise InputError(
                f"{where}: split {split!r}, row {row} cannot be read ({_line(error)}), in {file}"
            ) from error
        return x, [record[name] for name in names]

    shape, columns = None, cast(Any, {name: [] for name in names})

    def images() -> Iterator[np.ndarray]:
        nonlocal shape
        with closing(in_parallel(example, range(len(source)), "reading")) as results:
            for row, (x, numbers) in enumerate(results):
                shape = shape or x.shape
                if x.shape != shape:
                    raise InputError(
                        f"{where}: split {split!r}: images must have one size, got {x.shape} in row {row} and"
                        f" {shape} in row 0"
                    )
                for name, number in zip(names, numbers, strict=True):
                    columns[name].append(number)
                yield x

    with warnings.catch_warnings(action="ignore"):
        if stream:
            key = _key(where, builder.info.splits[split].file_instructions, (mode, *keys))
            x, columns = _on_disk(key, images(), columns)
        else:
            x = np.stack(list(images()))
    numbers = {name: np.array(column, np.int64) for name, column in columns.items()}
    factors = np.stack([numbers[name] for name in keys.factors], axis=1) if keys.factors else None
    return Split(x, numbers.get(keys.label or ""), factors=factors)  # checked before they become int32


def _on_disk(key: str, images: Iterator[np.ndarray], columns: dict[str, list[int]]) -> tuple[Records, Any]:
    """Returns the records of the images and their numbers (labels, factors), from the cache if it has them.

    Otherwise `images` are decoded now, and fill `columns`.
    """
    file = image_cache.cleaned(image_cache.default_folder()) / f"{key}.records"
    stored = {f"value {name}": column for name, column in columns.items()}  # no name of a column of `records`
    if (cached := records.kept(file)) is not None:
        return cached[0], {name: cached[1][f"value {name}"] for name in columns}
    return records.keep(file, images, stored), columns


def _key(where: str, instructions, *how) -> str:
    """Returns the sha256 of the files of a split, of the rows that are read from them, and of the decoding."""
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
    """Returns the file that holds a row of a split."""
    ends = np.cumsum([one.take for one in instructions])
    return instructions[int(np.searchsorted(ends, row, side="right"))].filename


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
