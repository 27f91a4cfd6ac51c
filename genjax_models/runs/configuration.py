"""The fields that experiments share, each checked once, here. Imports no jax, so that --help is quick."""

import copy
import dataclasses
import math
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from genjax_models.errors import InputError

if TYPE_CHECKING:
    import optax

    from genjax_models.data.dataset import Dataset, Range
    from genjax_models.types import Objective, Trainer


def at_least(smallest: float, **fields: float) -> None:
    """Refuses numbers that are not finite or are below `smallest`; names the field."""
    for name, value in fields.items():
        if not (math.isfinite(value) and value >= smallest):
            raise InputError(f"{name} must be at least {smallest}, got {value!r}")


def whole(smallest: int, **fields) -> None:
    """Refuses what is no integer of at least `smallest`, alone or in a tuple; names the field."""
    for name, value in fields.items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, bool) or not isinstance(number, numbers.Integral) or number < smallest:
                raise InputError(f"{name} must be an integer of at least {smallest}, got {value!r}")


def positive(**fields: float) -> None:
    """Refuses numbers that are not positive and finite; names the field."""
    for name, value in fields.items():
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be positive and finite, got {value!r}")


def seed_in_range(seed: int) -> None:
    """Accepts 0 <= seed < 2^32 alone: `jax.random.key(2**32 + 1)` would be `key(1)` in silence."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"seed must be an integer in [0, 2^32), got {seed!r}")


def replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """The config with other values in fields of these dotted names; it checks them.

    Raises:
      InputError: as the config does.
    """
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = replaced(getattr(config, first), {rest: value}) if rest else value
        config = dataclasses.replace(config, **{first: inner})
    return config


def unchecked(config: Any, values: Mapping[str, Any]) -> Any:
    """As `replaced`, for tracers: they stand for numbers that were checked, and cannot be checked themselves."""
    config = copy.copy(config)
    for name, value in values.items():
        first, _, rest = name.partition(".")
        inner = unchecked(getattr(config, first), {rest: value}) if rest else value
        object.__setattr__(config, first, inner)  # the config is frozen, and this copy of it nobody has seen
    return config


@dataclasses.dataclass(frozen=True)
class Images:
    """How images become arrays, those of a folder above all; other data are taken as they are."""

    image_size: int | None = 32
    """Pixels of a side; None keeps images as they are, if they all have one size."""
    image_fit: Literal["crop", "resize"] = "crop"
    """How an image becomes square: cut to its largest centred square, or by a change of proportions."""
    skip_unreadable: bool = False
    """Leave out files that cannot be decoded, one or up to 1% of them, and count them in a warning."""
    stream: bool = False
    """Leave training images on disk, decoded: for folders of images and tfds data that are larger than memory."""

    def __post_init__(self):
        if self.image_size is not None:
            whole(1, image_size=self.image_size)

    def load(self, data: str, range: "Range | None") -> "Dataset":
        """`data.load`, with these images."""
        from genjax_models.data import load

        # Where all is as by default nothing is said of images: other data take nothing.
        images = {"size": self.image_size, "fit": self.image_fit, "skip_unreadable": self.skip_unreadable}
        as_they_are = dataclasses.replace(self, stream=False) == Images()
        return load(data, range=range, images=None if as_they_are else images, stream=self.stream)


@dataclasses.dataclass(frozen=True)
class Training:
    """How long to train, on how much at a time, and how often to look."""

    steps: int = 10_000
    """Optimizer steps. 0 writes the untrained model and stops."""
    batch_size: int = 100
    """Examples in a step."""
    evaluate_every: int = 1_000
    """Steps between evaluations on the validation split, each with samples and a checkpoint."""
    log_every: int = 100
    """Steps over which training metrics are averaged into one row."""

    def __post_init__(self):
        whole(0, steps=self.steps)
        whole(1, batch_size=self.batch_size, evaluate_every=self.evaluate_every, log_every=self.log_every)


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """Adam, with what usually surrounds it."""

    learning_rate: float = 1e-3
    """Peak step size."""
    schedule: Literal["constant", "linear", "cosine", "stages"] = "constant"
    """How the learning rate falls after the warm-up: not at all, to zero, or in stages (Burda et al., 2015)."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from zero."""
    stages: int = 5
    """Of the schedule "stages": stage i = 0, 1, ... has 3^i parts of the steps, at learning_rate * 10^(-i/7)."""
    clip: float | None = None
    """Largest global norm of the gradient."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    b1: float = 0.9
    """Decay of the gradient's average."""
    b2: float = 0.999
    """Decay of the squared gradient's average."""
    eps: float = 1e-8
    """Added to the root of the squared gradient's average."""

    def __post_init__(self):
        positive(learning_rate=self.learning_rate, eps=self.eps)
        if self.clip is not None:
            positive(clip=self.clip)
        at_least(0, weight_decay=self.weight_decay)
        whole(0, warmup=self.warmup)
        whole(1, stages=self.stages)
        for name, value in (("b1", self.b1), ("b2", self.b2)):
            if not 0 <= value < 1:
                raise InputError(f"{name} must be in [0, 1), got {value!r}")

    def build(self, steps: int) -> "optax.GradientTransformation":
        """The optax transformation of a run of `steps` steps."""
        import optax

        after = max(steps - self.warmup, 1)
        rate = {
            "constant": lambda: optax.constant_schedule(self.learning_rate),
            "linear": lambda: optax.linear_schedule(self.learning_rate, 0.0, after),
            "cosine": lambda: optax.cosine_decay_schedule(self.learning_rate, after),
            "stages": lambda: self._in_stages(after),
        }[self.schedule]()
        if self.warmup:
            rise = optax.linear_schedule(0.0, self.learning_rate, self.warmup)
            rate = optax.join_schedules([rise, rate], [self.warmup])
        adam = optax.adamw(rate, self.b1, self.b2, self.eps, weight_decay=self.weight_decay)
        return adam if self.clip is None else optax.chain(optax.clip_by_global_norm(self.clip), adam)

    def _in_stages(self, steps: int) -> "optax.Schedule":
        import optax

        parts = [3**stage for stage in range(self.stages)]
        ends = [round(steps * sum(parts[: stage + 1]) / sum(parts)) for stage in range(self.stages - 1)]
        return optax.piecewise_constant_schedule(self.learning_rate, dict.fromkeys(ends, 10 ** (-1 / 7)))


@dataclasses.dataclass(frozen=True)
class Game:
    """How two sides play, beside an `Optimizer` that both have: in a step the discriminators move, then the others."""

    discriminator_moves: int = 1
    """Moves of a discriminator in a step, each on its own share of the batch."""
    generator_learning_rate: float | None = None
    """Peak step size of generators; None is that of discriminators."""
    average: float = 0.0
    """Decay of a moving average of generators, from which samples are drawn; 0 keeps none."""

    def __post_init__(self):
        whole(1, discriminator_moves=self.discriminator_moves)
        if self.generator_learning_rate is not None:
            positive(generator_learning_rate=self.generator_learning_rate)
        if not 0 <= self.average < 1:
            raise InputError(f"average must be in [0, 1), got {self.average!r}")

    def fits(self, training: Training) -> None:
        """Refuses batches that cannot be cut into the shares of the discriminator's moves."""
        if training.batch_size % self.discriminator_moves:
            raise InputError(
                f"batch_size must be a multiple of {self.discriminator_moves}, the discriminator_moves, so that each"
                f" has an equal share, got {training.batch_size}"
            )

    def trainer(self, objective: "Objective", optimizer: Optimizer, steps: int) -> "Trainer":
        """The trainer of a run of `steps` steps. Discriminators are known by their names."""
        from genjax_models.training import trainer

        discriminators = [player for player in objective.losses if "discriminator" in player]
        generators = [player for player in objective.losses if player not in discriminators]
        rate = self.generator_learning_rate
        of_generators = optimizer if rate is None else unchecked(optimizer, {"learning_rate": rate})
        return trainer(
            objective,
            {
                **dict.fromkeys(discriminators, optimizer.build(steps * self.discriminator_moves)),
                **dict.fromkeys(generators, of_generators.build(steps)),
            },
            updates=dict.fromkeys(discriminators, self.discriminator_moves),
            average=dict.fromkeys(generators, self.average) if self.average else {},
        )
