"""The generative adversarial network: a discriminator and a generator, each with its own loss (20.10.4)."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from genjax_models.estimators import adversarial
from genjax_models.estimators.augmentation import shifted
from genjax_models.estimators.orthogonality import orthogonal_penalty
from genjax_models.models.adversarial import AdversarialPair
from genjax_models.types import Array, Aux, Objective

GameLoss = Literal["minimax", "non_saturating", "maximum_likelihood", "least_squares", "hinge", "wasserstein"]
Penalty = Literal["wasserstein", "r1"]


class _Losses(NamedTuple):
    """Losses of logits. Logits above `boundary` mean real; None if the loss has no boundary."""

    discriminator: Callable[..., Array]
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
    orthogonal: float | Array = 0.0,
    translation: int = 0,
) -> Objective:
    """Returns the game of Eq. (20.80): the discriminator moves first, then the generator, with fresh noise.

    Real and fake examples pass the discriminator as two batches, so that batch normalisation sees them separately. In a
    conditional pair both have the same condition: the real example's. Both networks learn in learning mode. The
    adversary is "discriminator".

    Args:
      pair: generator and discriminator.
      loss: losses of both players; see `estimators.adversarial`. The first three, the payoffs of the book, share the
        discriminator's loss.
      label_smoothing: one-sided smoothing of the labels, for the first three losses; off at 0.
      penalty: penalty on the discriminator's slope: "wasserstein" between real and fake examples, "r1" at real
        examples. It refuses batch normalisation.
      penalty_weight: weight of the penalty: lambda of "wasserstein", gamma of "r1".
      orthogonal: weight of `orthogonal_penalty` on the generator's kernels, except the embedding of classes; off at 0.
      translation: the discriminator sees images, real and fake, shifted by up to so many pixels along both axes, and
        padded by the lowest value of the generator (Zhao et al., 2020). Gradients pass through the shift; samples are
        not shifted. Off at 0.

    Returns:
      An `Objective` whose discriminator reports "accuracy", the share of examples classified correctly (1/2 if the
      generator has won; not for "wasserstein", which has no boundary). With a penalty it also reports "penalty", before
      the weight. With `orthogonal` the generator reports "orthogonal", before its weight.

    Raises:
      ValueError: an unknown loss or penalty, label smoothing with a loss without labels, or a negative translation.
    """
    losses = _checked_losses(loss, penalty, label_smoothing)
    if isinstance(translation, bool) or not isinstance(translation, int) or translation < 0:
        raise ValueError(f"translation must be an integer of at least 0, got {translation!r}")
    regular = not (isinstance(orthogonal, int | float) and orthogonal == 0)

    def discriminate(variables, key, batch):
        if translation:
            shift_key, key = jax.random.split(key)
            batch = batch._replace(x=shifted(shift_key, batch.x, translation, fill=(pair.range or (0, 1))[0]))
        return pair.discriminate(variables, key, batch)

    def discriminator(variables, key, batch, step):
        batch = pair.labelled(batch)
        noise_key, real_key, fake_key, penalty_key = jax.random.split(key, 4)
        fake, variables = pair.generate(variables, noise_key, batch)
        real_logits, variables = discriminate(variables, real_key, batch)
        fake_logits, variables = discriminate(variables, fake_key, batch._replace(x=fake))
        value, metrics = jnp.mean(losses.discriminator(real_logits, fake_logits)), {}
        if losses.boundary is not None:
            metrics["accuracy"] = _accuracy(real_logits - losses.boundary, fake_logits - losses.boundary)
        if penalty:
            metrics["penalty"] = jnp.mean(slope_penalty(variables, penalty_key, batch, fake))
            value += penalty_weight * metrics["penalty"]
        return value, Aux(metrics, variables)

    def generator(variables, key, batch, step):
        batch = pair.labelled(batch)
        noise_key, fake_key = jax.random.split(key)
        fake, variables = pair.generate(variables, noise_key, batch)
        fake_logits, variables = discriminate(variables, fake_key, batch._replace(x=fake))
        value, metrics = jnp.mean(losses.generator(fake_logits)), {}
        if regular:
            metrics["orthogonal"] = orthogonal_penalty(variables["generator"]["params"], skip=("embedding",))
            value += orthogonal * metrics["orthogonal"]
        return value, Aux(metrics, variables)

    def slope_penalty(variables, key, batch, fake):
        point_key, dropout_key = jax.random.split(key)
        critic = lambda x: pair.discriminate(variables, dropout_key, batch._replace(x=x))[0]
        if penalty == "r1":
            return adversarial.r1_penalty(critic, batch.x)
        return adversarial.wasserstein_gradient_penalty(point_key, critic, batch.x, fake)

    losses_by_player = {"discriminator": discriminator, "generator": generator}
    return Objective(pair.init, losses_by_player, pair.sample, pair.range, adversaries=("discriminator",))


def _checked_losses(loss: GameLoss, penalty: Penalty | None, label_smoothing: float | Array) -> _Losses:
    """Returns the losses of both players; refuses options that are unknown or do not fit together."""
    for name, value, accepted in (
        ("loss", loss, get_args(GameLoss)),
        ("penalty", penalty, (*get_args(Penalty), None)),
    ):
        if value not in accepted:
            raise ValueError(f"{name} must be one of {accepted}, got {value!r}")
    losses = _LOSSES[loss]
    if losses.discriminator is adversarial.discriminator_loss:
        losses = losses._replace(discriminator=partial(losses.discriminator, label_smoothing=label_smoothing))
    elif not (isinstance(label_smoothing, int | float) and label_smoothing == 0):
        raise ValueError(f'label_smoothing must be 0 for loss "{loss}", got {label_smoothing!r}')
    return losses


def _accuracy(real_logits: Array, fake_logits: Array) -> Array:
    """Returns the share of examples classified correctly."""
    return jnp.mean(jnp.concatenate([real_logits > 0, fake_logits < 0]))
