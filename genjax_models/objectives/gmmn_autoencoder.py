"""A GMMN on the codes of an autoencoder (20.10.5; Li, Swersky and Zemel, 2015, section 4): easier to match than pixels.

Two stages are one game of two players, of which one moves at a time: so they are one compiled loop and one state, and a
run that is stopped in either of them goes on as any other does. Until step `autoencoder_steps` the autoencoder learns;
from there on it is frozen, and the generator learns to make codes like those of the data.

A loss without a gradient does not freeze a player: momentum would carry it on, and the steps that it sits out would
count in Adam's bias correction and in a schedule. `in_two_stages` gives the players optimizers that stand still.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from genjax_models.estimators.kernels import Kernel, check_size
from genjax_models.models.autoencoder import AutoencoderModel
from genjax_models.models.implicit import ImplicitModel
from genjax_models.objectives.autoencoder import autoencoder as reconstructing
from genjax_models.objectives.gmmn import Distance, gmmn
from genjax_models.types import Array, Aux, Batch, Loss, Objective, Players, PRNGKey


def gmmn_autoencoder(
    autoencoder: AutoencoderModel,
    generator: ImplicitModel,
    kernel: Kernel,
    *,
    autoencoder_steps: int,
    distance: Distance = "biased_root",
) -> Objective:
    """Players "autoencoder", which lowers its reconstruction error, and "generator", which lowers the MMD of codes.

    Args:
      autoencoder: of the data. Its dropout is in its own learning alone: codes to be matched are without.
      generator: z -> codes `[n, autoencoder.latent]`; where the encoder ends in a sigmoid, so does this.
      kernel: of codes.
      autoencoder_steps: how many steps are the autoencoder's. Give the optimizers of `in_two_stages` the same.
      distance: as in `gmmn`.

    Returns:
      An `Objective` whose players report their loss alone, zero while they rest. `sample` decodes codes of the
      generator.

    Raises:
      ValueError: as `gmmn`, and steps that are no integer of at least 1.
    """
    check_size("autoencoder_steps", autoencoder_steps)
    first, second = reconstructing(autoencoder), gmmn(generator, kernel, distance=distance)

    def init(key: PRNGKey, batch: Batch) -> Players:
        of_autoencoder, of_generator = jax.random.split(key)
        codes = Batch(jnp.zeros((1, autoencoder.latent)))
        return {**first.init(of_autoencoder, batch), **second.init(of_generator, codes)}

    def of_codes(variables, key, batch, step):
        codes = autoencoder.encode(variables["autoencoder"], batch.x)
        return second.losses["generator"](variables, key, batch._replace(x=codes), step)

    def sample(variables: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        return autoencoder.generate(variables["autoencoder"], generator.sample(variables["generator"], key, n))

    losses = {
        "autoencoder": _only(lambda step: step < autoencoder_steps, first.losses["autoencoder"]),
        "generator": _only(lambda step: step >= autoencoder_steps, of_codes),
    }
    return Objective(init, losses, sample)


def in_two_stages(
    autoencoder: optax.GradientTransformation, generator: optax.GradientTransformation, *, autoencoder_steps: int
) -> dict[str, optax.GradientTransformation]:
    """Optimizers by player: each stands still, its state included, in the other's stage, and counts its own steps."""
    return {
        "autoencoder": optax.conditionally_mask(autoencoder, lambda step: step < autoencoder_steps),
        "generator": optax.conditionally_mask(generator, lambda step: step >= autoencoder_steps),
    }


def _only(active: Callable[[Array], Array], loss: Loss) -> Loss:
    """The value of `loss` where `active(step)`, and what it moves; elsewhere zero, and nothing is computed."""

    def switched(variables, key, batch, step):
        def learning():
            value, aux = loss(variables, key, batch, step)
            return value, _moving({**variables, **(aux.variables or {})})

        def resting():
            return jnp.zeros(()), _moving(variables)

        value, moved = jax.lax.cond(active(step), learning, resting)
        return value, Aux(variables=moved)

    return switched


def _moving(players: Players) -> Players:
    """All but the params."""
    return {
        player: {collection: values for collection, values in variables.items() if collection != "params"}
        for player, variables in players.items()
    }
