"""Groups of fields that configs are composed of; each checks its fields. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal, Self, cast

import tyro

from genjax_models.errors import InputError
from genjax_models.runs.configuration import Training, at_least, positive, rate, whole
from genjax_models.systems.binarisation import Binarise, binarisation_of, fits_bernoulli
from genjax_models.systems.precision import Precision, at_precision

if TYPE_CHECKING:
    import flax.linen as nn
    import optax

    from genjax_models.data import Dataset, Prepared
    from genjax_models.data.prepare import Binarisation
    from genjax_models.data.values import Range
    from genjax_models.models import Family
    from genjax_models.systems.settings import Data

flag = tyro.conf.arg

_MOST_STAGES = 20  # stage 21 would have more parts than int32 has numbers


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """p(x | z), and the binarisation that goes with it."""

    family: Annotated[
        Literal["auto", "bernoulli", "gaussian", "discretised_logistic", "logistic_mixture"], flag(name="likelihood")
    ] = "auto"
    """Family of p(x | z). auto follows the data: bernoulli for binary data and for grey images in [0, 1],
    discretised_logistic for other data of 8 bits, gaussian for the rest."""
    scale: Literal["global", "isotropic", "diagonal"] | float = "global"
    """Standard deviation of the Gaussian: a number, or learned: one, one per z, or one per pixel."""
    logistics: int = 5
    """Logistics in the mixture of each number, for likelihood logistic_mixture."""
    binarise: Binarise = "auto"
    """How values in [0, 1] become binary. auto: dynamic for grey images with likelihood bernoulli, else none."""

    def __post_init__(self):
        whole(1, logistics=self.logistics)
        if not isinstance(self.scale, str):
            positive(scale=self.scale)

    @property
    def unused(self) -> set[str]:
        """Fields of other families."""
        of_family = {"scale": "gaussian", "logistics": "logistic_mixture"}
        return {field for field, family in of_family.items() if self.family != family}

    def build(self, shape: tuple[int, ...]) -> Family:
        """Returns the family over examples of this shape.

        Raises:
          InputError: the family is "auto", which `for_data` resolves.
        """
        import genjax_models as gx

        if self.family == "auto":
            raise InputError("likelihood auto needs the data: call config.load(), or name the likelihood")
        if self.family == "gaussian":
            return gx.gaussian(shape, self.scale)
        if self.family == "logistic_mixture":
            return gx.logistic_mixture(shape, self.logistics)
        return {"bernoulli": gx.bernoulli, "discretised_logistic": gx.discretised_logistic}[self.family](shape)

    def for_data(self, dataset: Dataset) -> Self:
        """Returns this group with the likelihood and the binarisation that these data have.

        Raises:
          InputError: the likelihood cannot take the data: Bernoulli, for data that would become binary unasked; the
            logistics, for data that do not have 8 bits or become binary.
        """
        eight_bits = dataset.train.x.dtype == "uint8" and tuple(dataset.range) == (0, 255)
        family, binarise = self.family, "none" if self.binarise == "auto" else self.binarise
        if family == "auto":
            asked = binarise != "none"
            family = "bernoulli" if asked or fits_bernoulli(dataset) else "gaussian"
            family = "discretised_logistic" if family == "gaussian" and eight_bits else family
        if family == "bernoulli":
            binarise = binarisation_of(dataset, self.binarise)
        if family in ("discretised_logistic", "logistic_mixture") and not (eight_bits and binarise == "none"):
            raise InputError(
                f"likelihood {family} needs 8-bit data and binarise none, got {dataset.in_words} and"
                f" binarise {binarise} from {dataset.name}"
            )
        return dataclasses.replace(self, family=family, binarise=binarise)

    def prepare(self, dataset: Dataset) -> Prepared:
        """Returns the data as the likelihood takes them, scaled to `range_of`. Binary data are 0 or 1."""
        import genjax_models as gx

        return gx.prepare(dataset, binarise=cast("Binarisation", self.binarise), range=self.range_of(dataset))

    def range_of(self, dataset: Dataset) -> Range:
        """Returns the range of prepared data: [0, 1] for images, bytes and binary data; other data keep their units."""
        binary = self.family == "bernoulli" or self.binarise != "none"
        unit = binary or dataset.kind == "images" or dataset.train.x.dtype == "uint8"
        return (0, 1) if unit else dataset.range

    def density_range(self, dataset: Dataset) -> Range | None:
        """Returns `range_of` if p(x | z) is a density of the data's values, and None if it is a probability."""
        return self.range_of(dataset) if self.family == "gaussian" and self.binarise == "none" else None


@dataclasses.dataclass(frozen=True)
class Bits:
    """How data become binary, for models of x in {0, 1}."""

    binarise: Binarise = "auto"
    """How values in [0, 1] become binary. auto: dynamic for grey images, none for binary data."""

    def for_data(self, dataset: Dataset) -> Self:
        """Returns this group with the binarisation that these data have.

        Raises:
          InputError: the data are not binary, and do not become so.
        """
        binarise = binarisation_of(dataset, self.binarise)
        if binarise == "none" and not dataset.is_binary:
            raise InputError(f"the model needs binary data, got {dataset.in_words} and binarise none")
        return dataclasses.replace(self, binarise=binarise)

    def prepare(self, dataset: Dataset) -> Prepared:
        """Returns the data, 0 or 1."""
        return Likelihood("bernoulli", binarise=self.binarise).prepare(dataset)


@dataclasses.dataclass(frozen=True)
class SequenceLikelihood(Likelihood):
    """p(x_t | z_t, ...), and the binarisation that goes with it."""

    def for_data(self, dataset: Dataset) -> Self:
        """Does as `Likelihood.for_data`, but a Bernoulli likelihood takes binary data only.

        Raises:
          InputError: as `Likelihood.for_data`; or the likelihood is Bernoulli, and the data do not become binary.
        """
        group = super().for_data(dataset)
        if group.family == "bernoulli":
            Bits(group.binarise).for_data(dataset)
        return group


@dataclasses.dataclass(frozen=True)
class Networks:
    """An encoder and a generator, its mirror image."""

    kind: Annotated[Literal["mlp", "convolutional"], flag(name="network")] = "mlp"
    """Kind of encoder and generator."""
    hidden: tuple[int, ...] = (500, 500)
    """Widths of the encoder's dense layers; the generator's are reversed."""
    channels: tuple[int, ...] = (32, 64)
    """Channels of the convolutional encoder's levels; the generator's are reversed."""
    precision: Precision = "float32"
    """Precision of the networks; parameters and estimators are float32. For accelerators: slower on a CPU."""

    def __post_init__(self):
        whole(1, hidden=self.hidden, channels=self.channels)
        if self.kind == "convolutional" and not self.channels:
            raise InputError("channels must name at least one level for network convolutional, got none")

    @property
    def unused(self) -> set[str]:
        """The channels of networks without convolutions."""
        return {"channels"} if self.kind == "mlp" else set()

    def build(self, data: Data, encoder_outputs, generator_outputs) -> tuple[nn.Module, nn.Module]:
        """Returns the encoder and the generator for examples of these data, which emit these outputs.

        Raises:
          InputError: network convolutional, for data that are no images.
        """
        import genjax_models as gx

        hidden, channels = self.hidden, self.channels
        if self.kind == "convolutional" and len(data.shape) != 3:
            raise InputError(f"network convolutional needs images, got examples of shape {data.shape} from {data}")
        if self.kind == "mlp":
            encoder = gx.MLPEncoder(data.shape, encoder_outputs, hidden)
            generator = gx.MLPGenerator(generator_outputs, hidden[::-1])
        else:
            encoder = gx.ConvolutionalEncoder(data.shape, encoder_outputs, channels, hidden)
            generator = gx.ConvolutionalGenerator(generator_outputs, channels[::-1], hidden[::-1])
        encoder, generator = at_precision(self.precision, encoder, generator)
        return encoder, generator


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Adam with a schedule, gradient clipping and weight decay."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine", "stages"] = "constant"
    """Schedule of the learning rate after the warm-up: constant, to zero, or in stages (Burda et al., 2015)."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from zero."""
    stages: int = 5
    """Number of stages of the schedule "stages": stage i has 3^i parts of the steps, at learning_rate * 10^(-i/7)."""
    clip: float | None = None
    """Largest global norm of the gradient."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    b1: float = 0.9
    """Decay of the gradient's average."""
    b2: float = 0.999
    """Decay of the squared gradient's average."""
    eps: float = 1e-8
    """Number added to the root of the squared gradient's average."""

    def __post_init__(self):
        positive(learning_rate=self.learning_rate, eps=self.eps)
        if self.clip is not None:
            positive(clip=self.clip)
        at_least(0, weight_decay=self.weight_decay)
        whole(0, warmup=self.warmup)
        whole(1, stages=self.stages)
        if self.stages > _MOST_STAGES:
            raise InputError(f"stages must be at most {_MOST_STAGES}: stage i has 3^i parts, got {self.stages}")
        rate(b1=self.b1, b2=self.b2)

    @property
    def unused(self) -> set[str]:
        """The stages of other schedules."""
        return set() if self.schedule == "stages" else {"stages"}

    def build(self, steps: int) -> optax.GradientTransformation:
        """Returns the optax transformation of a run of `steps` steps."""
        import optax

        after = max(steps - self.warmup, 1)
        schedule = {
            "constant": lambda: optax.constant_schedule(self.learning_rate),
            "linear": lambda: optax.linear_schedule(self.learning_rate, 0.0, after),
            "cosine": lambda: optax.cosine_decay_schedule(self.learning_rate, after),
            "stages": lambda: self._in_stages(after),
        }[self.schedule]()
        if self.warmup:
            rise = optax.linear_schedule(0.0, self.learning_rate, self.warmup)
            schedule = optax.join_schedules([rise, schedule], [self.warmup])
        adam = optax.adamw(schedule, self.b1, self.b2, self.eps, weight_decay=self.weight_decay)
        return adam if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), adam)

    def _in_stages(self, steps: int) -> optax.Schedule:
        import optax

        parts = [3**stage for stage in range(self.stages)]
        ends = [round(steps * sum(parts[: stage + 1]) / sum(parts)) for stage in range(self.stages - 1)]
        return optax.piecewise_constant_schedule(self.learning_rate, dict.fromkeys(ends, 10 ** (-1 / 7)))


@dataclasses.dataclass(frozen=True)
class StagedTraining(Training):
    """Training for the epochs of the schedule's stages (Burda et al., 2015), unless a number of steps is given."""

    steps: int | None = None
    """Optimizer steps. Default: the epochs of the schedule's stages, 1 + 3 + 9 + ..."""

    def __post_init__(self):
        Training(self.steps or 0, self.batch_size, self.evaluate_every, self.log_every)

    def of_stages(self, size: int, stages: int) -> Self:
        """Returns this group with the steps of so many stages on `size` training examples, unless steps are given."""
        if self.steps is not None:
            return self
        epochs = sum(3**stage for stage in range(stages))
        return dataclasses.replace(self, steps=epochs * (size // self.batch_size))


def warmed_up(weight: float, steps: int) -> float | optax.Schedule:
    """Returns the weight. With `steps` above 0 it is a schedule, which rises to the weight linearly from 0."""
    import optax

    return optax.linear_schedule(0.0, weight, steps) if steps else weight
