"""A game over the features of a kernel: exact values, the slope of the witness, and what is learned."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.models.adversarial import adversarial_pair
from genjax_models.objectives.mmd_gan import mmd_gan
from genjax_models.types import Batch
from tests.objectives.test_gmmn import OF_UNBIASED, UNBIASED, UNIT, Points, X, Y

KEY = jax.random.key(0)


class Scaled(nn.Module):
    """Features a x, a number."""

    @nn.compact
    def __call__(self, x):
        return self.param("scale", nn.initializers.ones, ()) * x


def of_points(**options):
    pair = adversarial_pair(Points(tuple(map(tuple, Y.tolist()))), Scaled(), 1)
    return mmd_gan(pair, UNIT, **options)


def loss_of(objective, player, variables, batch):
    return jax.jit(lambda variables: objective.losses[player](variables, KEY, batch, 0))(variables)


def test_the_generator_lowers_the_unbiased_mmd_of_features():
    objective = of_points()
    variables = objective.init(KEY, Batch(X))
    loss, aux = loss_of(objective, "generator", variables, Batch(X))
    np.testing.assert_allclose([loss, aux.metrics["mmd_squared_unbiased"]], UNBIASED, rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda v: objective.losses["generator"](v, KEY, Batch(X), 0)[0]))(variables)
    np.testing.assert_allclose(gradient["generator"]["params"]["x"][:, 0], OF_UNBIASED, rtol=1e-4)
    scaled = {**variables, "discriminator": {"params": {"scale": jnp.float32(2)}}}
    doubled, _ = loss_of(objective, "generator", scaled, Batch(X))
    np.testing.assert_allclose(doubled, float(gx.mmd_squared_unbiased(2 * X, 2 * Y, UNIT)), rtol=1e-5)


def test_the_discriminator_raises_it_less_the_weighted_penalty():
    losses = {weight: of_points(penalty_weight=weight) for weight in (0.0, 3.0)}
    variables = losses[0.0].init(KEY, Batch(X))
    (none, aux), (some, _) = (loss_of(objective, "discriminator", variables, Batch(X)) for objective in losses.values())
    np.testing.assert_allclose(none, -UNBIASED, rtol=1e-5)
    np.testing.assert_allclose(some - none, 3 * aux.metrics["penalty"], rtol=1e-5)


def test_the_penalty_is_that_of_the_slope_of_the_witness():
    """w(t) = mean k(x, t) - mean k(y, t), by its formula in float64, at the points that the key draws."""
    scale, objective = 1.5, of_points()
    variables = objective.init(KEY, Batch(X)) | {"discriminator": {"params": {"scale": jnp.float32(scale)}}}
    _, aux = loss_of(objective, "discriminator", variables, Batch(X))
    point_key = jax.random.split(jax.random.split(KEY)[1])[0]
    u = np.asarray(jax.random.uniform(point_key, (4, 1)), np.float64)
    t, x, y = (scale * z[:, 0] for z in (u * X + (1 - u) * Y, X, Y))
    slopes = [np.mean((z - t[:, None]) * np.exp(-((z - t[:, None]) ** 2) / 2), axis=1) for z in (x, y)]
    penalty = np.mean((np.abs(scale * (slopes[0] - slopes[1])) - 1) ** 2)
    np.testing.assert_allclose(aux.metrics["penalty"], penalty, rtol=1e-5)


@pytest.mark.slow
def test_it_learns_where_a_gaussian_lies():
    """Of N((1, -2), I), by samples of N(m, I) that begin at 0."""

    class Shifted(nn.Module):
        @nn.compact
        def __call__(self, z):
            return z + self.param("shift", nn.initializers.zeros, (2,))

    data = Batch(jnp.array([1.0, -2.0]) + jax.random.normal(KEY, (10_000, 2)))
    features = nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(2, use_bias=False)])
    objective = mmd_gan(adversarial_pair(Shifted(), features, 2), gx.gaussian_kernel([1.0, 2.0]))
    optimizer = optax.adam(optax.cosine_decay_schedule(0.02, 300))
    train = gx.trainer(objective, {"discriminator": optimizer, "generator": optimizer})
    state, _ = gx.loop_over_data(train, batch_size=200, chunk=300)(train.init(jax.random.key(1), data), data, 300)
    np.testing.assert_allclose(state.variables["generator"]["params"]["shift"], [1, -2], atol=0.3)


class Normalised(nn.Module):
    """Features that are of the batch."""

    @nn.compact
    def __call__(self, x):
        averages = not self.is_mutable_collection("batch_stats")
        return nn.BatchNorm(use_running_average=averages)(nn.Dense(2)(x))


def test_the_penalty_refuses_features_of_the_batch():
    objective = mmd_gan(adversarial_pair(gx.MLPGenerator((3,), ()), Normalised(), 2), UNIT)
    batch = Batch(jax.random.normal(KEY, (8, 3)))
    with pytest.raises(ValueError, match="batch normalisation"):
        objective.losses["discriminator"](objective.init(KEY, batch), KEY, batch, 0)
