"""The generative adversarial network: a discriminator and a generator, each with its own payoff (20.10.4)."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators import adversarial
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.types import Array, Aux, Objective

GameLoss = Literal["minimax", "non_saturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein"]
Penalty = Literal["wasserstein", "r1"]


class _Losses(NamedTuple):
    """Of logits; above `boundary` the discriminator says real, where there is such a boundary."""

    discriminator: Callable[[Array, Array], Array]
    generator: Callable[[Array], Array]
    boundary: float | None


_LOSSES = {
    "minimax": _Losses(adversarial.discriminator_loss, adversarial.minimax_generator_loss, 0.0),
    "non_saturating": _Losses(adversarial.discriminator_loss, adversarial.non_saturating_generator_loss, 0.0),
    "maximum_likelihood": _Losses(adversarial.discriminator_loss, adversarial.maximum_likelihood_generator_loss, 0.0),
    "least_squares": _Losses(
        adversarial.least_squares_discriminator_loss, adversarial.least_squares_generator_loss, 0.5
    ),
    "hinge": _Losses(adversarial.hinge_discriminator_loss, adversarial.hinge_generator_loss, 0.0),
    "wasserstein": _Losses(adversarial.wasserstein_critic_loss, adversarial.wasserstein_generator_loss, None),
}


def gan(
    pair: AdversarialPair,
    *,
    loss: GameLoss = "non_saturating",
    label_smoothing: float | Array = 0.0,
    penalty: Penalty | None = None,
    penalty_weight: float | Array = 10.0,
) -> Objective:
    """The game of Eq. (20.80): the discriminator moves first, and the generator, with noise of its own, answers it.

    Real and fake examples pass the discriminator as two batches, so that batch normalisation sees each alone. Both have
    the same labels in a conditional pair.

    Args:
      pair: generator and discriminator.
      loss: the losses of both; see `estimators.adversarial`. The first three have the discriminator's loss in common.
      label_smoothing: one-sided, of the first three payoffs; off at 0.
      penalty: on the discriminator's slope: "wasserstein" between real and fake examples, "r1" at real ones. It refuses
        batch normalisation.
      penalty_weight: lambda of the one, gamma of the other.

    Returns:
      An `Objective` whose discriminator reports "accuracy", the share of examples told apart (1/2 where the generator
      has won; not of "wasserstein", which draws no boundary), and "penalty", before its weight, where there is one.

    Raises:
      ValueError: names that are none of the above, or a smoothing of a loss without labels.
    """
    for name, given, accepted in (
        ("loss", loss, get_args(GameLoss)),
        ("penalty", penalty, (*get_args(Penalty), None)),
    ):
        if given not in accepted:
            raise ValueError(f"{name} must be one of {accepted}, got {given!r}")
    losses = _LOSSES[loss]
    if losses.discriminator is adversarial.discriminator_loss:
        losses = losses._replace(discriminator=partial(losses.discriminator, label_smoothing=label_smoothing))
    elif not (isinstance(label_smoothing, int | float) and label_smoothing == 0):
        raise ValueError(f'label_smoothing must be 0 for loss "{loss}", got {label_smoothing!r}')

    def discriminator(variables, key, batch, step):
        noise_key, real_key, fake_key, penalty_key = jax.random.split(key, 4)
        fake, variables = pair.generate(variables, noise_key, batch)
        real_logits, variables = pair.discriminate(variables, real_key, batch)
        fake_logits, variables = pair.discriminate(variables, fake_key, batch._replace(x=fake))
        value, metrics = jnp.mean(losses.discriminator(real_logits, fake_logits)), {}
        if losses.boundary is not None:
            metrics["accuracy"] = _accuracy(real_logits - losses.boundary, fake_logits - losses.boundary)
        if penalty:
            metrics["penalty"] = jnp.mean(slope_penalty(variables, penalty_key, batch, fake))
            value += penalty_weight * metrics["penalty"]
        return value, Aux(metrics, variables)

    def generator(variables, key, batch, step):
        noise_key, fake_key = jax.random.split(key)
        fake, variables = pair.generate(variables, noise_key, batch)
        fake_logits, variables = pair.discriminate(variables, fake_key, batch._replace(x=fake))
        return jnp.mean(losses.generator(fake_logits)), Aux(variables=variables)

    def slope_penalty(variables, key, batch, fake):
        point_key, judge_key = jax.random.split(key)
        critic = lambda x: pair.discriminate(variables, judge_key, batch._replace(x=x))[0]
        if penalty == "r1":
            return adversarial.r1_penalty(critic, batch.x)
        return adversarial.wasserstein_gradient_penalty(point_key, critic, batch.x, fake)

    return Objective(pair.init, {"discriminator": discriminator, "generator": generator}, pair.sample, pair.range, ("discriminator",))


def _accuracy(real_logits: Array, fake_logits: Array) -> Array:
    """Share of examples told apart."""
    return jnp.mean(jnp.concatenate([real_logits > 0, fake_logits < 0]))
