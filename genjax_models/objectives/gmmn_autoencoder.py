"""A GMMN on the codes of an autoencoder (20.10.5; Li, Swersky and Zemel, 2015, section 4): easier to match than pixels.

The two stages are one game of two players, of which one moves at a time. So they share one compiled loop and one state,
and a run that stops in either stage resumes as any other run. The autoencoder learns until step `autoencoder_steps`.
Then it is frozen, and the generator learns to make codes like the codes of the data.

A loss without a gradient does not freeze a player: momentum would still move it, and the steps without learning would
count in Adam's bias correction and in a schedule. `in_two_stages` gives the players optimizers that stand still.
"""

from collections.abc import Callable
from typing import Any

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
    """Returns an objective with players "autoencoder" and "generator".

    "autoencoder" lowers its reconstruction error, "generator" the MMD between its codes and the codes of the data.

    Args:
      autoencoder: autoencoder of the data. It learns in learning mode; the codes to be matched are made in judging
        mode, without dropout, since the autoencoder is then frozen.
      generator: z -> codes `[n, autoencoder.latent]`; it ends in a sigmoid if the encoder does.
      kernel: kernel on codes.
      autoencoder_steps: number of steps of the autoencoder. Give the optimizers of `in_two_stages` the same number.
      distance: as in `gmmn`.

    Returns:
      An `Objective` whose players report only their loss, zero while they rest. `sample` decodes codes of the
      generator.

    Raises:
      ValueError: as `gmmn`, or `autoencoder_steps` is no integer of at least 1.
    """
    check_size("autoencoder_steps", autoencoder_steps)
    first, second = reconstructing(autoencoder), gmmn(generator, kernel, distance=distance)

    def init(key: PRNGKey, batch: Batch) -> Players:
        autoencoder_key, generator_key = jax.random.split(key)
        codes = batch._replace(x=jnp.zeros((len(batch.x), autoencoder.latent)))
        return {**first.init(autoencoder_key, batch), **second.init(generator_key, codes)}

    def mmd_of_codes(variables, key, batch, step):
        codes = autoencoder.encode(variables["autoencoder"], batch.x)
        return second.losses["generator"](variables, key, batch._replace(x=codes), step)

    def sample(variables: Players, key: PRNGKey, n: int, *, label: Array | None = None) -> Array:
        return autoencoder.generate(variables["autoencoder"], generator.sample(variables["generator"], key, n))

    losses = {
        "autoencoder": _only(lambda step: step < autoencoder_steps, first.losses["autoencoder"]),
        "generator": _only(lambda step: step >= autoencoder_steps, mmd_of_codes),
    }
    return Objective(init, losses, sample)


def in_two_stages(
    autoencoder: optax.GradientTransformation, generator: optax.GradientTransformation, *, autoencoder_steps: int
) -> dict[str, optax.GradientTransformation]:
    """Returns an optimizer per player. It stands still with its state in the other stage and counts its own steps."""
    in_first_stage: Any = lambda step: jnp.less(step, autoencoder_steps)
    in_second_stage: Any = lambda step: jnp.greater_equal(step, autoencoder_steps)
    return {
        "autoencoder": optax.conditionally_mask(autoencoder, in_first_stage),
        "generator": optax.conditionally_mask(generator, in_second_stage),
    }


def _only(active: Callable[[Array], Array], loss: Loss) -> Loss:
    """Returns `loss` for steps with `active(step)`; in other steps it is zero, moves nothing and computes nothing."""

    def switched(variables, key, batch, step):
        def learning():
            value, aux = loss(variables, key, batch, step)
            return value, _without_params({**variables, **(aux.variables or {})})

        def resting():
            return jnp.zeros((), jax.eval_shape(learning)[0].dtype), _without_params(variables)

        value, moved = jax.lax.cond(active(step), learning, resting)
        return value, Aux(variables=moved)

    return switched


def _without_params(players: Players) -> Players:
    """Returns the players without their params."""
    return {
        player: {collection: values for collection, values in variables.items() if collection != "params"}
        for player, variables in players.items()
    }
