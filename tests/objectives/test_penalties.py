"""The penalties of objectives, at the points that they promise, against finite differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.models.adversarial import AdversarialPair

KEY, H = jax.random.key(5), 1e-5
REAL = np.array([[0.3, -0.5], [1.2, 0.4], [-0.7, 0.9]])
FAKE = np.array([[0.1, 0.8], [-0.4, -1.1], [0.6, 0.2]])
PARAMS = np.array(
    [[0.8, -0.3, 0.2, 1.5], [0.4, 1.1, -0.6, 0.7], [-0.2, 0.5, 0.3, -0.4], [-0.9, 0.5, 0.7, -1.2]]
)  # rows: w_1, w_2, b, v


def features(params, x, tanh):
    """Two features, each the sum of two units: [n, 2]."""
    units = params[3] * tanh(x @ params[:2] + params[2])
    return units.reshape(len(x), 2, 2).sum(2)


def pair(emits):
    """Of a generator that has made FAKE, and a discriminator without dropout."""
    params = lambda players: players["discriminator"]["params"]["all"]
    return AdversarialPair(
        init=None,
        generate=lambda players, key, batch: (jnp.asarray(FAKE, jnp.float32), players),
        discriminate=lambda players, key, batch: (emits(features(params(players), batch.x, jnp.tanh)), players),
        sample=None,
    )


def between(key):
    """The points of the key of the penalty."""
    point_key, _ = jax.random.split(key)
    u = np.asarray(jax.random.uniform(point_key, (3, 1)), np.float64)
    return u * REAL + (1 - u) * FAKE


def slopes(critic, x):
    """Gradients by example, by central differences."""
    return np.stack([(critic(x + H * e) - critic(x - H * e)) / (2 * H) for e in np.eye(2)], axis=1)


def r1(params):
    critic = lambda x: features(params, x, np.tanh).sum(1)
    return np.mean(np.sum(slopes(critic, REAL) ** 2, axis=1)) / 2


def wasserstein(params):
    critic = lambda x: features(params, x, np.tanh).sum(1)
    norms = np.linalg.norm(slopes(critic, between(jax.random.split(KEY, 4)[3])), axis=1)
    return np.mean((norms - 1) ** 2)


def of_witness(params):
    """All of the witness depends on the parameters: its points and both of its samples."""
    of = lambda x: features(params, x, np.tanh)
    kernel = lambda t, x: np.exp(-np.sum((t[:, None] - x[None]) ** 2, axis=2) / 2).mean(1)
    witness = lambda x: kernel(of(x), of(REAL)) - kernel(of(x), of(FAKE))
    norms = np.linalg.norm(slopes(witness, between(jax.random.split(KEY)[1])), axis=1)
    return np.mean((norms - 1) ** 2)


one_logit = pair(lambda features: features.sum(1))
PENALTIES = {
    "r1": (lambda: gx.gan(one_logit, penalty="r1", penalty_weight=3.0), r1),
    "wasserstein": (
        lambda: gx.gan(one_logit, loss="wasserstein", penalty="wasserstein", penalty_weight=3.0),
        wasserstein,
    ),
    "mmd gan": (
        lambda: gx.objectives.mmd_gan(pair(lambda features: features), gx.gaussian_kernel(1.0), penalty_weight=3.0),
        of_witness,
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_value_and_gradient_of_a_penalty_are_those_of_finite_differences(name):
    objective, exact = PENALTIES[name]

    def penalty(params):
        players = {"discriminator": {"params": {"all": params}}, "generator": {"params": {}}}
        _, aux = objective().losses["discriminator"](players, KEY, gx.Batch(jnp.asarray(REAL, jnp.float32)), 0)
        return aux.metrics["penalty"]

    value, gradient = jax.jit(jax.value_and_grad(penalty))(jnp.asarray(PARAMS, jnp.float32))
    np.testing.assert_allclose(value, exact(PARAMS), rtol=1e-4)
    step = 1e-3 * np.eye(PARAMS.size).reshape(-1, *PARAMS.shape)
    expected = [(exact(PARAMS + e) - exact(PARAMS - e)) / 2e-3 for e in step]
    np.testing.assert_allclose(gradient.ravel(), expected, rtol=2e-3, atol=2e-4)
