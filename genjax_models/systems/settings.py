"""The base of all configs, and the groups of fields of the data. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.configuration import seed_in_range, whole
from genjax_models.systems.file_options import FileOptions

if TYPE_CHECKING:
    from genjax_models.data import Dataset

flag = tyro.conf.arg


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of all configs: a seed, and a group `data` that loads the data set.

    A subclass adds the groups `data`, `training` and `optimizer`, and fields of its own.
    """

    seed: int = 0
    """Random seed, in [0, 2^32)."""

    conditional: ClassVar[bool] = False  # a subclass makes it a field, or True, if the model needs labels
    convolutional: ClassVar[bool] = False  # a subclass makes it True if its networks are convolutional
    depends_on_steps: ClassVar[str] = ""  # a subclass names what does, besides the schedule of its optimizer
    data: ClassVar[Any]  # a subclass makes it a field: Data, Points or a group with the same methods

    def __post_init__(self):
        seed_in_range(self.seed)

    def load(self) -> tuple[Self, Dataset]:
        """Returns this config, completed with what the data determine, and the data.

        These are the shape and number of classes, and what groups find by their method `for_data`.

        Raises:
          InputError: the data cannot be loaded, have no labels for a conditional model, are padded although the model
            knows no lengths, or are refused by a group.
        """
        data, dataset = self.data.load(labels=self.conditional)
        if not isinstance(data, SequenceData):
            _refuse_padding(dataset)
        groups = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        completed = {name: group.for_data(dataset) for name, group in groups.items() if hasattr(group, "for_data")}
        return dataclasses.replace(self, data=data, **completed), dataset

    @property
    def unused(self) -> set[str]:
        """Dotted names of the fields that do nothing, given the values of others; groups have this property too."""
        groups = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {f"{name}.{field}" for name, group in groups.items() for field in getattr(group, "unused", ())}

    @property
    def convolves(self) -> bool:
        """Whether the networks are convolutional."""
        return self.convolutional or getattr(getattr(self, "networks", None), "kind", None) == "convolutional"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.data.shape

    @property
    def classes(self) -> int | None:
        """Number of classes that the model sees; None if it sees none."""
        return self.data.classes


@dataclasses.dataclass(frozen=True)
class _Named:
    """The name of a data set: the first field of `Data`."""

    name: Annotated[str, flag(name="data")] = "mnist10k"
    """mnist10k, fashion_mnist, bars_and_stripes, rivers, chairs, sprites, faces, emoji (or NAME:SIZE), furniture:DIR,
    chorales, mnist10k_rows, japanese_vowels, a .npz, .npy, .csv or .parquet file, a folder of idx files or of images,
    tfds:NAME[:SPLIT], or hf:PATH[:SPLIT], a Hugging Face data set on disk."""


@dataclasses.dataclass(frozen=True)
class Data(FileOptions, _Named):
    """The data set, and how its images become arrays."""

    image_size: int | tuple[int, int] | None = 32
    """Side in pixels, or height and width, of images of a folder or of hf:PATH. None keeps images of one size."""
    image_fit: Literal["crop", "resize", "pad"] = "crop"
    """How an image gets these proportions: crop its largest centred part, resize it, or add a black margin."""
    stream: bool = False
    """Keep decoded training images on disk: for folders of images, tfds and hf data that are larger than memory."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)
    classes: tyro.conf.Suppress[int | None] = None

    def __post_init__(self):
        super().__post_init__()
        if self.image_size is not None:
            whole(1, image_size=self.image_size)

    def __str__(self) -> str:
        return self.name

    @property
    def unused(self) -> set[str]:
        """The options of images in files, for other data."""
        files = self.name.startswith(("images:", "tfds:", "hf:")) or Path(self.name).is_dir()
        return set() if files else {"image_size", "image_fit", "image_channels", "skip_unreadable", "stream"}

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Returns this group, completed with the shape of the data and with `labels` their classes, and the data.

        Raises:
          InputError: the data cannot be loaded, or `labels` are needed and absent.
        """
        from genjax_models.data import load

        images = {
            "size": self.image_size,
            "fit": self.image_fit,
            "channels": self.image_channels,
            "skip_unreadable": self.skip_unreadable,
        }
        default = {"size": 32, "fit": "crop", "channels": None, "skip_unreadable": False}
        dataset = load(
            self.name,
            range=self.range,
            kind=self.kind,
            keys=dict(pair.split("=", 1) for pair in self.keys),
            images=None if images == default else images,  # other data take no such options
            stream=self.stream,
        )
        if labels and dataset.num_classes is None:
            raise InputError(f"a conditional model needs a label per example, and {self.name} has no labels")
        classes = dataset.num_classes if labels else None
        return dataclasses.replace(self, shape=dataset.shape, classes=classes), dataset

    def needs_images(self) -> None:
        """Refuses data of another kind.

        Raises:
          InputError: an example is no `[height, width, channels]`.
        """
        if len(self.shape) != 3:
            raise InputError(f"data must be images, got examples of shape {self.shape} from {self.name}")

    def needs_rgb(self) -> None:
        """Refuses data other than images of red, green and blue.

        Raises:
          InputError: names the number of channels; with alpha it says how to put images on white.
        """
        self.needs_images()
        if self.shape[2] != 3:
            remedy = ". data.alpha.opaque(dataset) puts them on white" if self.shape[2] == 4 else ""
            raise InputError(f"data must be red, green and blue, got {self.shape[2]} channels from {self.name}{remedy}")

    def needs_halvings(self, count: int, reason: str) -> None:
        """Refuses images whose height or width cannot be halved `count` times; `reason` names the field that needs it.

        Raises:
          InputError: names the size.
        """
        self.needs_images()
        height, width, _ = self.shape
        if max(height, width).bit_length() <= count or height % 2**count or width % 2**count:
            raise InputError(
                f"{reason} needs images whose height and width can be halved {count} times, got {height} x {width} from"
                f" {self.name}"
            )


@dataclasses.dataclass(frozen=True)
class PaddedImages(Data):
    """A data set of images, with a margin around small ones."""

    pad_to: int | None = 32
    """Height and width to which a margin of the lowest value enlarges smaller images. None adds no margin."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (32, 32, 1)
    size: tyro.conf.Suppress[tuple[int, int]] = (28, 28)

    def __post_init__(self):
        super().__post_init__()
        if self.pad_to is not None:
            whole(1, pad_to=self.pad_to)

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Does as `Data.load`, and adds the margin; `size` of the group is the images' size without it."""
        from genjax_models.data.padding import padded

        group, dataset = super().load(labels=labels)
        group.needs_images()
        group = dataclasses.replace(group, size=group.shape[:2])
        if self.pad_to is not None:
            dataset = padded(dataset, self.pad_to)
        return dataclasses.replace(group, shape=dataset.shape), dataset


@dataclasses.dataclass(frozen=True)
class FactorData(Data):
    """A data set with known factors of variation."""

    factors: tyro.conf.Suppress[tuple[str, ...]] = ()
    examples: tyro.conf.Suppress[int] = 0

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Does as `Data.load`; the group gets the names of the factors and the number of training examples.

        Raises:
          InputError: as `Data.load`; or the data have no known factors, or one that is constant in the test split.
        """
        group, dataset = super().load(labels=labels)
        if dataset.factors is None or dataset.test.factors is None:
            raise InputError(f"data must have known factors, as rivers and sprites have, got {self.name}")
        for factor, column in zip(dataset.factors, dataset.test.factors.T, strict=True):
            if column.min() == column.max():
                raise InputError(
                    f"{self.name}: {factor.name} must vary in the test split, got {column[0]:g} throughout"
                )
        names = tuple(factor.name for factor in dataset.factors)
        return dataclasses.replace(group, factors=names, examples=len(dataset.train.x)), dataset


@dataclasses.dataclass(frozen=True)
class SequenceData(Data):
    """A data set of sequences of vectors."""

    name: Annotated[str, flag(name="data")] = "chorales"
    """chorales, mnist10k_rows, japanese_vowels, or a .npz file of x [n, time, d] and length [n]."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (193, 88)
    has_rows: tyro.conf.Suppress[bool] = False

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Does as `Data.load`; the group knows whether steps are rows of an image.

        Raises:
          InputError: as `Data.load`; or the data are no sequences of vectors.
        """
        group, dataset = super().load(labels=labels)
        if dataset.kind != "sequences" or len(dataset.shape) != 2:
            raise InputError(
                f"data must be sequences [n, time, d], got {dataset.in_words} from {self.name}. Use mnist10k_rows, say,"
                " or --data-kind sequences for a file"
            )
        return dataclasses.replace(group, has_rows=dataset.has_rows), dataset


def _refuse_padding(dataset: Dataset) -> None:
    """Raises InputError if sequences are shorter than their arrays: zeros of the padding would count as data."""
    lengths = [split.length for split in dataset[1:4] if split.length is not None]
    shortest = min((int(length.min()) for length in lengths), default=None)
    if shortest is not None and shortest < dataset.shape[0]:
        raise InputError(
            f"sequences of unequal length need a model of sequences, such as experiments.vrnn, got {shortest} to"
            f" {dataset.shape[0]} steps from {dataset.name}"
        )


@dataclasses.dataclass(frozen=True)
class Points:
    """A data set of points in the plane."""

    name: Annotated[str, flag(name="data")] = "spiral"
    """moons, spiral, ring8, grid25, or a .npz or .npy file of [n, 2] numbers."""
    range: Annotated[tuple[float, float] | None, flag(name="data-range")] = None
    """Lowest and highest stored value of a data file. Default: 0 1."""

    shape: ClassVar[tuple[int, ...]] = (2,)
    classes: ClassVar[None] = None

    def __str__(self) -> str:
        return self.name

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Returns this group and the data.

        Raises:
          InputError: the data cannot be loaded, or are no points in the plane.
        """
        from genjax_models.data import load

        dataset = load(self.name, range=self.range)
        if dataset.shape != self.shape:
            raise InputError(
                f"data must be points in the plane, [n, 2], got examples of shape {dataset.shape} from {self.name}"
            )
        return self, dataset
