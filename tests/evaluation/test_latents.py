"""Active units of several stochastic layers, against a chain with known posterior means."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax_models.estimators.autoregressive import Autoregressive
from genjax_models.estimators.distributions import Chain, diagonal_normal
from genjax_models.evaluation.latents import LatentUsage, codes_by_layer, latent_usage, latent_usage_by_layer
from genjax_models.models import LatentVariableModel
from tests.statistics import assert_mean

# q(z_1 | x) = N(A x, 0.5^2), q(z_2 | z_1) = N(B z_1, 1), q(z_3 | z_2) = N(C z_2, 1): all means are linear in x. In z_2
# the first unit is used, the second moves with the noise of z_1 alone (its row of B sees a unit of z_1 that A leaves
# out), the third is a constant. z_3 hears of both kinds.
A = np.array([[0.5, 0.0], [0.0, 0.8], [0.0, 0.0]])
B = np.array([[0.6, -0.4, 0.2], [0.0, 0.0, 1.5], [0.0, 0.0, 0.0]])
C = np.array([[0.3, 0.2, 0.0], [0.0, 1.0, 0.0]])
SCALE = 0.5
N, KEY = 30, jax.random.key(0)
X = np.random.RandomState(0).normal(size=(N, 2)).astype(np.float32)
MEANS = (X @ A.T, X @ A.T @ B.T, X @ A.T @ B.T @ C.T)
ACTIVITY = [np.var(means, axis=0) for means in MEANS]
# The variance of a conditional mean within an example, from the covariance of the vector before it.
WITHIN = [
    np.zeros(3),
    SCALE**2 * np.diag(B @ B.T),
    np.diag(C @ (SCALE**2 * B @ B.T + np.eye(3)) @ C.T),
]


def linear(matrix, scale):
    return lambda below: diagonal_normal(below @ matrix.T, jnp.full((*below.shape[:-1], len(matrix)), scale))


def standard_normal(size):
    return diagonal_normal(jnp.zeros(size), jnp.ones(size))


def chain_model(downwards=False):
    """Read from the data up, or with the tuple turned round."""
    unused = [lambda below: standard_normal(3), lambda below: standard_normal(2)]
    return LatentVariableModel(
        init=lambda key, batch: {},
        posterior=lambda variables, x, label=None: Chain(
            linear(A, SCALE)(x), [linear(B, 1.0), linear(C, 1.0)], downwards=downwards
        ),
        prior=lambda variables, label=None: Chain(standard_normal(3), unused, downwards=downwards),
        likelihood=lambda variables, z, label=None: standard_normal(2),
    )


@jax.jit
def activities(keys):
    """The activities of z_1, z_2 and z_3 by key, from the fewest samples, which have the largest bias."""
    usage = lambda key: latent_usage_by_layer(chain_model(), {}, key, jnp.asarray(X), num_samples=2, batch_size=N)
    return jax.lax.map(lambda key: tuple(layer.activity for layer in usage(key)), keys, batch_size=500)


KEYS = jax.random.split(jax.random.key(1), 4_000)


def test_activity_is_the_variance_of_exact_means_without_bias():
    for layer, (usage_of_layer, exact) in enumerate(zip(activities(KEYS), ACTIVITY, strict=True)):
        assert_mean(usage_of_layer, exact, float_error=1e-5)
        assert (np.var(usage_of_layer, axis=0) < 1e-12).all() == (layer == 0)  # z_1 is not drawn


def test_the_noise_of_means_taken_for_activity_would_be_detected():
    """It is within / samples, times 1 - 1 / n: an unused unit looks active."""
    for usage_of_layer, exact, within in list(zip(activities(KEYS), ACTIVITY, WITHIN, strict=True))[1:]:
        biased = exact + (1 - 1 / N) * within / 2
        assert biased.max() > 0.01
        with pytest.raises(AssertionError):
            assert_mean(usage_of_layer, biased, float_error=1e-5)
        with pytest.raises(AssertionError):  # nor would the 1 / n go unseen
            assert_mean(usage_of_layer, exact - within / 2 / N, float_error=1e-5)


@partial(jax.jit, static_argnames=("num_samples", "batch_size", "downwards"))
def usage(num_samples, batch_size=N, downwards=False):
    model = chain_model(downwards)
    return latent_usage_by_layer(model, {}, KEY, jnp.asarray(X), num_samples=num_samples, batch_size=batch_size)


def test_each_layer_has_its_means_and_active_units():
    one, two, three = usage(2_000)
    np.testing.assert_allclose(one.means, MEANS[0], rtol=1e-5, atol=1e-6)
    for layer, (usage_of_layer, exact, within) in enumerate(zip((one, two, three), MEANS, WITHIN, strict=True)):
        assert np.all(np.abs(usage_of_layer.means - exact) <= 5 * np.sqrt(within / 2_000) + 1e-4), layer
    assert [layer.active.tolist() for layer in (one, two, three)] == [
        [True, True, False],
        [True, False, False],
        [True, False],
    ]
    assert all(layer.kl_by_dimension is None for layer in (one, two, three))


def test_a_chain_that_begins_at_the_top_is_turned_round():
    chex.assert_trees_all_close(usage(5), usage(5, downwards=True)[::-1], rtol=1e-6, atol=1e-6)


def test_no_figure_depends_on_the_batch_size():
    chex.assert_trees_all_close(usage(5), usage(5, batch_size=7), rtol=1e-4, atol=1e-5)


def test_one_layer_is_a_chain_of_one():
    model = chain_model()._replace(
        posterior=lambda variables, x, label=None: linear(A, SCALE)(x),
        prior=lambda variables, label=None: standard_normal(3),
    )
    (layer,) = latent_usage_by_layer(model, {}, KEY, jnp.asarray(X))
    alone = latent_usage(model, {}, jnp.asarray(X))
    assert isinstance(alone, LatentUsage)
    jax.tree.map(np.testing.assert_array_equal, layer, alone)
    np.testing.assert_allclose(alone.activity, ACTIVITY[0], rtol=1e-4, atol=1e-6)
    of_one = model._replace(posterior=lambda variables, x, label=None: Chain(linear(A, SCALE)(x), []))
    (layer,) = latent_usage_by_layer(of_one, {}, KEY, jnp.asarray(X))
    np.testing.assert_allclose(layer.activity, alone.activity, rtol=1e-4, atol=1e-6)


def test_labels_go_where_the_examples_go():
    """A conditional chain whose layers depend on the label only."""
    label = jnp.arange(N) % 3
    of_label = lambda c: (
        lambda below: diagonal_normal(
            jnp.broadcast_to(c[:, None] * jnp.ones(2), (*below.shape[:-1], 2)), jnp.ones((*below.shape[:-1], 2))
        )
    )
    model = chain_model()._replace(
        posterior=lambda variables, x, label: Chain(of_label(1.0 * label)(x), [of_label(2.0 * label)])
    )
    one, two = latent_usage_by_layer(model, {}, KEY, jnp.asarray(X), label=label, num_samples=3, batch_size=7)
    np.testing.assert_allclose(one.means, np.stack([label, label], axis=1), rtol=1e-6)
    np.testing.assert_allclose(two.means, 2 * np.stack([label, label], axis=1), rtol=1e-6)


def test_several_layers_need_samples():
    with pytest.raises(ValueError, match="use latent_usage_by_layer"):
        latent_usage(chain_model(), {}, jnp.asarray(X))


@pytest.mark.parametrize(
    ("num_samples", "message"), [(1, "`num_samples` must be at least 2, got 1"), (0, "got 0"), (2.0, "got 2.0")]
)
def test_too_few_samples_are_refused(num_samples, message):
    with pytest.raises(ValueError, match=message):
        usage(num_samples)


def test_means_of_a_model_that_unfolds_are_those_of_its_steps():
    """A Markov chain from x: E[z_t | x] = A^t x, and E[z_t | z_<t] varies within an example by the noise of z_<t."""
    a = jnp.array([[0.8, -0.3], [0.2, 0.5]])

    def posterior(variables, x, label=None):
        step = lambda z: (diagonal_normal(z @ a.T, jnp.full(z.shape, 0.1)), lambda z: z)
        return Autoregressive(x, step, (3, 2))

    model = chain_model()._replace(posterior=posterior)
    (usage,) = jax.jit(lambda key: latent_usage_by_layer(model, {}, key, jnp.asarray(X), num_samples=400))(KEY)
    powers = [np.linalg.matrix_power(np.asarray(a, np.float64), t) for t in (1, 2, 3)]
    exact = np.stack([X @ power.T for power in powers], axis=1)
    np.testing.assert_allclose(usage.means[:, 0], exact[:, 0], rtol=1e-5)  # without any draw
    assert np.abs(usage.means - exact).max() < 6 * 0.1 / 20  # 120 means of 400 draws with a deviation below 0.1
    np.testing.assert_allclose(usage.activity, exact.var(axis=0), rtol=0.05)
    assert usage.active.shape == (3, 2)


@partial(jax.jit, static_argnames=("num_samples", "batch_size"))
def codes(x, first=0, num_samples=2_000, batch_size=N):
    return codes_by_layer(chain_model(), {}, KEY, x, first=first, num_samples=num_samples, batch_size=batch_size)


def test_codes_have_the_means_and_the_deviations_of_each_layer():
    """The variance of z_l given x is that of its conditional mean and 1; that of a deviation is s^2 / (2 k)."""
    layers = codes(jnp.asarray(X))
    for layer, usage_of_layer in zip(layers, usage(2_000), strict=True):
        np.testing.assert_allclose(layer.mean, usage_of_layer.means, rtol=1e-5, atol=1e-5)
    exact = [np.full(3, SCALE), *(np.sqrt(1 + within) for within in WITHIN[1:])]
    for layer, deviation in zip(layers, exact, strict=True):
        assert np.all(np.abs(layer.deviation - deviation) < 5 * deviation / np.sqrt(2 * 2_000))


def test_variances_of_few_draws_are_unbiased():
    exact = [1 + within for within in WITHIN[1:]]
    for layer, variance in zip(codes(jnp.asarray(np.tile(X, (40, 1))), num_samples=2)[1:], exact, strict=True):
        assert_mean(layer.deviation**2, variance)


def test_a_draw_depends_on_the_index_of_the_example_so_that_a_set_can_be_encoded_in_blocks():
    whole = codes(jnp.asarray(X), 0, 5, 7)
    shifted = codes(jnp.roll(X, -10, axis=0), 10, 5, 7)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(shifted), strict=True):
        np.testing.assert_allclose(one[10:], other[:-10], rtol=1e-5, atol=1e-5)


def test_moments_in_closed_form_are_not_drawn():
    one = chain_model()._replace(posterior=lambda variables, x, label=None: linear(A, SCALE)(x))
    (code,) = codes_by_layer(one, {}, KEY, jnp.asarray(X), num_samples=2)
    np.testing.assert_allclose(code.mean, MEANS[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(code.deviation, np.float32(SCALE))
    with pytest.raises(ValueError, match="`num_samples` must be at least 2, got 1"):
        codes_by_layer(one, {}, KEY, jnp.asarray(X), num_samples=1)
