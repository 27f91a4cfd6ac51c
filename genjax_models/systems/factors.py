"""Groups of fields of data with known factors of variation. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Self

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.configuration import at_least, rate
from genjax_models.systems.settings import Data, flag

if TYPE_CHECKING:
    from genjax_models.data import Dataset

POSE = "sin azimuth", "cos azimuth", "sin elevation", "cos elevation"  # factors of a camera


@dataclasses.dataclass(frozen=True)
class CutOuts(Data):
    """A data set of pictures with an alpha channel, a style and known factors."""

    name: Annotated[str, flag(name="data")] = "chairs"
    """chairs, or a .npz file of x [n, height, width, 4], y (styles) and factors [n, f]."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (64, 64, 4)
    classes: tyro.conf.Suppress[int | None] = 20
    factors: tyro.conf.Suppress[int] = 4
    factor_names: tyro.conf.Suppress[tuple[str, ...]] = POSE

    def load(self, *, labels: bool = True) -> tuple[Self, Dataset]:
        """Does as `Data.load`; `factors` of the group is the number of known factors, and it has their names.

        Raises:
          InputError: the data have no alpha channel, no labels or no factors.
        """
        group, dataset = super().load(labels=labels)
        if group.shape[2:] != (4,):
            raise InputError(
                f"data must be images of 4 channels (red, green, blue, alpha), got examples of shape {group.shape} from"
                f" {self.name}"
            )
        if dataset.factors is None:
            raise InputError(f"a generator from known factors needs factors per example, and {self.name} has none")
        names = tuple(factor.name for factor in dataset.factors)
        return dataclasses.replace(group, factors=len(names), factor_names=names), dataset

    def needs_pose(self, flags: str) -> None:
        """Raises InputError if the first factors are not those of a camera."""
        if self.factor_names[: len(POSE)] != POSE:
            raise InputError(
                f"{flags} needs the factors {', '.join(POSE)}, got {', '.join(self.factor_names)} from {self.name}:"
                " choose --view joined"
            )


@dataclasses.dataclass(frozen=True)
class Coloured(Data):
    """A data set of colour images; images with an alpha channel are put on white."""

    name: Annotated[str, flag(name="data")] = "chairs"
    """chairs, rivers, a .npz file of colour images, or a folder of images."""
    shape: tyro.conf.Suppress[tuple[int, ...]] = (64, 64, 3)

    def load(self, *, labels: bool = False) -> tuple[Self, Dataset]:
        """Does as `Data.load`, and puts images on white.

        Raises:
          InputError: the data are no colour images.
        """
        from genjax_models.data.alpha import opaque

        group, dataset = super().load(labels=labels)
        if group.shape[2:] == (4,):
            dataset = opaque(dataset)
            group = dataclasses.replace(group, shape=dataset.shape)
        group.needs_rgb()
        return group, dataset


@dataclasses.dataclass(frozen=True)
class Changes:
    """Random changes of training pictures. Their parameters are further factors, which the generator is given."""

    rotate: float = 10.0
    """Largest rotation, in degrees."""
    move: float = 0.05
    """Largest shift along both axes, in sides of the picture."""
    zoom: float = 0.1
    """Largest factor of the size, less 1."""
    stretch: float = 0.1
    """Largest factor of the width, less 1; the height shrinks by the same factor."""
    hue: float = 20.0
    """Largest rotation of the hue, in degrees."""
    saturation: float = 0.2
    """Largest factor of the saturation, less 1."""
    brightness: float = 0.2
    """Largest factor of the brightness, less 1."""
    still: float = 0.0
    """Share of pictures that stay as they are. Changes blur, so that without them no picture is sharp."""
    mirror: bool = False
    """Whether half of the pictures are mirrored. The sine of their azimuth, if there is one, changes its sign."""

    def __post_init__(self):
        at_least(0, **self.largest)
        rate(still=self.still)

    @property
    def largest(self) -> dict[str, float]:
        """The largest change of each kind."""
        return {name: value for name, value in vars(self).items() if name not in ("still", "mirror")}

    @property
    def count(self) -> int:
        """Number of parameters: one per kind of change, of which a move has two, and one of the mirror."""
        return len(self.largest) + 1 + self.mirror
