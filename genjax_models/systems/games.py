"""Groups of fields of games: losses of the players, and their turns. Imports no jax, so that --help is quick."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

from genjax_models.errors import InputError
from genjax_models.runs.configuration import LARGEST, Training, at_least, positive, rate, whole
from genjax_models.runs.fields import unchecked

if TYPE_CHECKING:
    from genjax_models.models import AdversarialPair
    from genjax_models.systems.groups import Optimizer
    from genjax_models.types import Objective, Trainer


@dataclasses.dataclass(frozen=True)
class Adversary:
    """Losses of the discriminator and the generator."""

    loss: Literal["minimax", "non_saturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein"] = (
        "non_saturating"
    )
    """Losses of both players; see objectives.gan."""
    label_smoothing: float = 0.0
    """One-sided label smoothing, in [0, 1); for the first three losses."""
    penalty: Literal["none", "wasserstein", "r1"] = "none"
    """Gradient penalty of the discriminator; excludes batch normalisation there."""
    penalty_weight: float = 10.0
    """Weight of the penalty."""

    def __post_init__(self):
        at_least(0, penalty_weight=self.penalty_weight)
        rate(label_smoothing=self.label_smoothing)

    @property
    def unused(self) -> set[str]:
        """The weight of no penalty, and the smoothing of losses without labels."""
        weight = {"penalty_weight"} if self.penalty == "none" else set()
        return weight | ({"label_smoothing"} if self.loss in ("least_squares", "hinge", "wasserstein") else set())

    @property
    def options(self) -> dict[str, Any]:
        """The options of `objectives.gan` and `objectives.lapgan`."""
        penalty = None if self.penalty == "none" else self.penalty
        weights = {"penalty_weight": self.penalty_weight, "label_smoothing": self.label_smoothing}
        return {"loss": self.loss, "penalty": penalty, **weights}

    def build(self, pair: AdversarialPair) -> Objective:
        """Returns the game of this pair."""
        import genjax_models as gx

        return gx.gan(pair, **self.options)


@dataclasses.dataclass(frozen=True)
class RegularisedAdversary(Adversary):
    """Losses of the discriminator and the generator, with a smooth generator and shifted images."""

    orthogonal: float = 0.0
    """Weight of the orthogonal penalty on the generator's kernels; 0 for none."""
    translation: int = 0
    """The discriminator sees all images shifted by up to so many pixels."""

    def __post_init__(self):
        super().__post_init__()
        at_least(0, orthogonal=self.orthogonal)
        whole(0, translation=self.translation)

    def build(self, pair: AdversarialPair) -> Objective:
        """Returns the game of this pair."""
        import genjax_models as gx

        return gx.gan(pair, **self.options, orthogonal=self.orthogonal, translation=self.translation)


@dataclasses.dataclass(frozen=True)
class Game:
    """How adversaries and generators take turns: in a step the adversaries move first, then the generators."""

    discriminator_moves: int = 1
    """Moves of a discriminator per step, each on its own share of the batch."""
    generator_learning_rate: float | None = None
    """Peak learning rate of generators. Default: the discriminators' learning rate."""
    average: float = 0.0
    """Decay of a moving average of generators, which then draws the samples; 0 keeps none."""

    def __post_init__(self):
        whole(1, discriminator_moves=self.discriminator_moves)
        if self.generator_learning_rate is not None:
            positive(generator_learning_rate=self.generator_learning_rate)
        rate(average=self.average)

    def check_shares(self, training: Training) -> None:
        """Refuses a batch that the discriminator's moves cannot share evenly, and moves that int32 cannot count.

        Raises:
          InputError: names both numbers.
        """
        if training.steps * self.discriminator_moves > LARGEST:
            raise InputError(
                f"steps {training.steps} times discriminator_moves {self.discriminator_moves} must be at most {LARGEST}"
            )
        if training.batch_size % self.discriminator_moves:
            raise InputError(
                f"batch_size must be a multiple of {self.discriminator_moves}, the discriminator_moves, so that each"
                f" has an equal share, got {training.batch_size}"
            )

    def trainer(self, objective: Objective, optimizer: Optimizer, steps: int) -> Trainer:
        """Returns the trainer of a run of `steps` steps; both roles have the settings of `optimizer`."""
        from genjax_models.training import trainer

        generators = [player for player in objective.losses if player not in objective.adversaries]
        learning_rate = self.generator_learning_rate
        of_generators = optimizer if learning_rate is None else unchecked(optimizer, {"learning_rate": learning_rate})
        return trainer(
            objective,
            {
                **dict.fromkeys(objective.adversaries, optimizer.build(steps * self.discriminator_moves)),
                **dict.fromkeys(generators, of_generators.build(steps)),
            },
            updates=dict.fromkeys(objective.adversaries, self.discriminator_moves),
            average=dict.fromkeys(generators, self.average) if self.average else {},
        )
