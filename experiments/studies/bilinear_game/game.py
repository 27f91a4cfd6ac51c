"""The bilinear game as an `Objective`, with the losses for plain gradient descent and for two cures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

import genjax_models as gx
from genjax_models.types import Array, Aux, Objective, Players

if TYPE_CHECKING:
    import optax

Losses = Callable[[Array, Array], tuple[Array, Array]]  # (a, b) -> the loss of each player


def value(a: Array, b: Array) -> Array:
    """Returns v(a, b)."""
    return a * b


def opposed(a: Array, b: Array) -> tuple[Array, Array]:
    """Returns the losses of a and b: v and -v."""
    return value(a, b), -value(a, b)


def gradients(a: Array, b: Array) -> tuple[Array, Array]:
    """Returns the gradient of each player's loss in its own parameter."""
    return jax.grad(value, 0)(a, b), -jax.grad(value, 1)(a, b)


def extragradient(eta: float | Array) -> Losses:
    """Returns losses whose gradients are the gradients after a step of rate eta."""

    def losses(a, b):
        gradient_a, gradient_b = gradients(a, b)
        ahead_a, ahead_b = jax.lax.stop_gradient(gradients(a - eta * gradient_a, b - eta * gradient_b))
        return a * ahead_a, b * ahead_b

    return losses


def consensus(gamma: float | Array) -> Losses:
    """Returns losses plus gamma / 2 times the squared norm of both gradients."""

    def losses(a, b):
        gradient_a, gradient_b = gradients(a, b)
        penalty = gamma / 2 * (gradient_a**2 + gradient_b**2)
        loss_a, loss_b = opposed(a, b)
        return loss_a + penalty, loss_b + penalty

    return losses


def bilinear_game(start: tuple[float, float], losses: Losses) -> Objective:
    """Returns the game of players "a" and "b", each with one number "at"; a moves first. It reads no data."""

    def loss_of(player):
        def loss(variables, key, batch, step):
            return losses(*(variables[name]["params"]["at"] for name in "ab"))["ab".index(player)], Aux()

        return loss

    return Objective(
        init=lambda key, batch: {
            player: {"params": {"at": jnp.float32(at)}} for player, at in zip("ab", start, strict=True)
        },
        losses={player: loss_of(player) for player in "ab"},
        sample=lambda variables, key, n, *, label=None: jnp.zeros((n, 0)),
    )


def orbit(
    game: Objective, optimizer: optax.GradientTransformation, steps: int, *, simultaneous: bool = False
) -> np.ndarray:
    """Returns (a, b) from the start on, `[1 + steps, 2]`."""
    train, no_data = gx.trainer(game, dict.fromkeys("ab", optimizer), simultaneous=simultaneous), gx.Batch(jnp.zeros(1))

    def step(state, _):
        state, _ = train.step(state, no_data)
        return state, _point(state.variables)

    @jax.jit
    def run():
        state = train.init(jax.random.key(0), no_data)
        return _point(state.variables), jax.lax.scan(step, state, length=steps)[1]

    first, rest = run()
    return np.concatenate([np.asarray(first, np.float64)[None], np.asarray(rest, np.float64)])


def _point(variables: Players) -> Array:
    return jnp.stack([variables[player]["params"]["at"] for player in "ab"])
