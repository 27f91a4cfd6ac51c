"""The base of all configs, and the groups of fields of the data. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.configuration import seed_in_range, whole

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
    data: ClassVar[Any]  # a subclass makes it a field: Data, Points or a group with the same methods

    def __post_init__(self):
        seed_in_range(self.seed)

    def load(self) -> tuple[Self, Dataset]:
        """Returns this config, completed with the shape and number of classes of the data, and the data.

        Raises:
          InputError: the data cannot be loaded, have no labels for a conditional model, or are refused by the method
            `check_data` of a group.
        """
        data, dataset = self.data.load(labels=self.conditional)
        for field in dataclasses.fields(self):
            if check := getattr(getattr(self, field.name), "check_data", None):
                check(dataset)
        return dataclasses.replace(self, data=data), dataset

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.data.shape

    @property
    def classes(self) -> int | None:
        """Number of classes that the model sees; None if it sees none."""
        return self.data.classes


@dataclasses.dataclass(frozen=True)
class Data:
    """The data set, and how its images become arrays."""

    name: Annotated[str, flag(name="data")] = "mnist10k"
    """mnist10k, fashion_mnist, a .npz or .npy file, a folder of idx files or of images, or tfds:NAME[:SPLIT]."""
    range: Annotated[tuple[float, float] | None, flag(name="data-range")] = None
    """Lowest and highest stored value of a data file. Default: 0 255 for uint8, 0 1 for floating point."""
    image_size: int | None = 32
    """Side in pixels to which images of a folder are brought. None keeps images that all have one size."""
    image_fit: Literal["crop", "resize"] = "crop"
    """How an image becomes square: crop its largest centred square, or resize it and change its proportions."""
    skip_unreadable: bool = False
    """Skip files that cannot be decoded (one file, or at most 1% of them) and count them in a warning."""
    stream: bool = False
    """Keep decoded training images on disk: for folders of images and tfds data that are larger than memory."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (28, 28, 1)
    classes: tyro.conf.Suppress[int | None] = None

    def __post_init__(self):
        if self.image_size is not None:
            whole(1, image_size=self.image_size)

    def __str__(self) -> str:
        return self.name

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Returns this group, completed with the shape of the data and with `labels` their classes, and the data.

        Raises:
          InputError: the data cannot be loaded, or `labels` are needed and absent.
        """
        from genjax_models.data import load

        images = {"size": self.image_size, "fit": self.image_fit, "skip_unreadable": self.skip_unreadable}
        default = images == {"size": 32, "fit": "crop", "skip_unreadable": False}  # other data take no such options
        dataset = load(self.name, range=self.range, images=None if default else images, stream=self.stream)
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
