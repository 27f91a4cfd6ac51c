"""The loss of latent directions, with reconstructors whose answers are known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.objectives.latent_directions import latent_directions, unit_directions
from genjax_models.types import Batch

KEY = jax.random.key(0)
BATCH = Batch(jnp.zeros((4_000, 1, 1, 2)))


class Identity(nn.Module):
    """x = z, as an image of one pixel."""

    @nn.compact
    def __call__(self, z):
        return z.reshape(-1, 1, 1, 2)


class Reader(nn.Module):
    """Reads the shift of each coordinate from x' - x, times `gain`: right if the directions are the coordinates."""

    gain: float
    signed: bool = True

    @nn.compact
    def __call__(self, pair):
        moved = (pair[..., 2:] - pair[..., :2]).reshape(-1, 2)
        shift = moved.sum(axis=1, keepdims=True)
        shift = shift if self.signed else jnp.abs(shift)
        free = self.param("free", nn.initializers.zeros, ())
        return self.gain * jnp.concatenate([1e3 * jnp.abs(moved), shift], axis=1) + free


def values(*reader):
    """Returns the metrics and the loss, for directions along the coordinates, of lengths 3 and 1/2."""
    model = gx.implicit_model(Identity(), 2)
    objective = latent_directions(model, {}, Reader(*reader), 2)
    players = objective.init(KEY, BATCH)
    players["directions"]["params"]["directions"] = jnp.array([[3.0, 0.0], [0.0, 0.5]])
    loss, aux = jax.jit(objective.losses["directions"])(players, KEY, BATCH, 0)
    return {name: float(value) for name, value in aux.metrics.items()}, float(loss)


def test_a_reader_that_is_right_has_no_error():
    metrics, loss = values(1.0)
    assert metrics["accuracy"] == 1
    assert metrics["shift_error"] < 1e-5
    assert loss < 1e-5


def test_a_reader_that_says_nothing_has_the_error_of_guessing():
    """log 2 nats; E|s| of s uniform in [-6, 6], at least 1/2 in size: (.5 * .5 + (36 - .25) / 2) / 6 = 3.0208."""
    metrics, loss = values(0.0)
    assert metrics["cross_entropy"] == pytest.approx(np.log(2), rel=1e-6)
    assert abs(metrics["shift_error"] - 3.0208) < 5 * 1.72 / 4_000**0.5
    assert loss == pytest.approx(np.log(2) + 0.25 * metrics["shift_error"], rel=1e-6)


def test_shifts_have_both_signs():
    """A reader of |s| is wrong by 2 |s| for half of them: 0 if s < 0 never occurred."""
    assert abs(values(1.0, False)[0]["shift_error"] - 3.0208) < 5 * 3.9 / 4_000**0.5


@pytest.mark.slow
def test_directions_learn_and_the_generator_does_not():
    """x = z_1: the easiest directions to tell apart are z_1, and one that is not seen."""
    model = gx.implicit_model(nn.Sequential([lambda z: z[:, :1], gx.MLPGenerator((1, 1, 1), ())]), 3)
    variables = model.init(KEY, Batch(jnp.zeros((1, 1, 1, 1))))
    objective = latent_directions(model, variables, gx.MLPEncoder((1, 1, 2), (3,), (16,)), 2)
    train, batch = gx.trainer(objective, optax.adam(0.03)), Batch(jnp.zeros((64, 1, 1, 1)))
    last, metrics = gx.loop_over_data(train, batch_size=64, chunk=200)(train.init(KEY, batch), batch, 200)
    learned = unit_directions(last.variables["directions"])
    np.testing.assert_allclose(np.linalg.norm(learned, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.sort(np.abs(learned[:, 0])), [0, 1], atol=0.05)
    assert metrics["directions/accuracy"][-1] > 0.9
    jax.tree.map(np.testing.assert_array_equal, last.variables["generator"], variables)


def test_bad_input_is_one_line():
    model = gx.implicit_model(Identity(), 2)
    with pytest.raises(ValueError, match="directions must be at least 2, got 1"):
        latent_directions(model, {}, Reader(1.0), 1)
    objective = latent_directions(model, {}, Reader(1.0), 3)
    with pytest.raises(ValueError, match=r"reconstructor must emit \[batch, 4\], got shape \(4000, 3\)"):
        objective.losses["directions"](objective.init(KEY, BATCH), KEY, BATCH, 0)
