"""The objective of sequential models: what it reports, what it raises, what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.models import kalman_log_likelihood, time_first
from genjax_models.types import Batch

KEY = jax.random.key(4)
MODEL = gx.linear_gaussian_model(steps=3)
X = jnp.array([[0.8, -0.3, 1.5], [-0.8, jnp.nan, jnp.nan]])[..., None]
BATCH = Batch(X, length=jnp.array([3, 1]))
PLAYERS = {"sequential_vae": MODEL.init(KEY, BATCH)}


def loss_of(step=0, model=MODEL, **settings):
    objective = gx.sequential_vae(model, **settings)
    return jax.jit(objective.losses["sequential_vae"])(PLAYERS, KEY, BATCH, jnp.int32(step))


def test_the_bound_of_the_estimator_is_reported_per_sequence_and_per_true_step():
    loss, aux = loss_of(bound="fivo", num_particles=4, criterion="always", resampling="systematic")
    x, mask = time_first(X, BATCH.length)
    variables = PLAYERS["sequential_vae"]
    state, context = MODEL.start(variables, x, mask)
    options = {"num_particles": 4, "criterion": "always", "resampling": "systematic"}
    terms = gx.filtering_bound(KEY, x, mask, state, partial(MODEL.step, variables), context, **options)
    np.testing.assert_allclose(aux.metrics["bound"], terms.bound.mean(), rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["per_step"], terms.bound.sum() / 4, rtol=1e-6)  # not a mean of ratios
    np.testing.assert_allclose(aux.metrics["resampled"], 2 / 4)
    np.testing.assert_allclose(loss, -aux.metrics["bound"])
    assert set(aux.metrics) == {"bound", "per_step", "resampled"}


@pytest.mark.parametrize("bound", ["elbo", "iwae"])
def test_at_the_smoothing_posterior_the_bound_and_its_gradient_are_those_of_log_p(bound):
    model = gx.linear_gaussian_model(steps=3, proposal="smoothing")
    objective = gx.sequential_vae(model, bound=bound, num_particles=2)
    exact = lambda players: -kalman_log_likelihood(players["sequential_vae"], X, BATCH.length)[:, -1].mean()
    value = jax.jit(lambda players: objective.losses["sequential_vae"](players, KEY, BATCH, jnp.int32(0))[0])
    if bound == "iwae":  # the ELBO has closed KLs, and so a variance
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), value(PLAYERS), exact(PLAYERS))
        found, right = jax.grad(value)(PLAYERS), jax.grad(exact)(PLAYERS)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found, right)
    else:
        draws = jax.vmap(lambda key: objective.losses["sequential_vae"](PLAYERS, key, BATCH, jnp.int32(0))[0])
        values = np.asarray(jax.jit(draws)(jax.random.split(KEY, 4_000)), np.float64)
        assert abs(values.mean() - exact(PLAYERS)) < 5 * values.std() / 4_000**0.5


def test_the_weight_of_the_kl_changes_the_loss_and_not_the_bound():
    loss, aux = loss_of(step=3, kl_weight=lambda step: step / 10)
    plain, without = loss_of()
    reconstruction, kl = aux.metrics["reconstruction"], aux.metrics["kl"]
    assert float(aux.metrics["kl_weight"]) == pytest.approx(0.3)
    np.testing.assert_allclose(loss, -(reconstruction - 0.3 * kl), rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["bound"], reconstruction - kl, rtol=1e-6)
    np.testing.assert_allclose(plain, -without.metrics["bound"], rtol=1e-6)
    np.testing.assert_allclose(aux.metrics["bound"], without.metrics["bound"], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"bound": "vimco"}, "bound must be one of .*, got 'vimco'"),
        ({"num_particles": 0}, "num_particles must be an integer of at least 1, got 0"),
        ({"threshold": 0.0}, r"threshold must be in \(0, 1\], got 0.0"),
        ({"threshold": 1.5, "bound": "fivo"}, r"threshold must be in \(0, 1\], got 1.5"),
        ({"bound": "iwae", "kl_weight": 0.5}, "kl_weight needs bound=\"elbo\", got 'iwae'"),
        ({"bound": "fivo", "criterion": "never"}, 'criterion must be "ess" or "always"'),
    ],
)
def test_settings_are_checked_before_compiling(wrong, message):
    with pytest.raises(ValueError, match=message):
        gx.sequential_vae(MODEL, **wrong)


def test_a_model_without_steps_is_refused():
    q, p = gx.diagonal_gaussian(2), gx.bernoulli((3,))
    model = gx.latent_variable_model(gx.MLPEncoder((3,), q.outputs, (4,)), q, gx.MLPGenerator(p.outputs, (4,)), p)
    with pytest.raises(ValueError, match='sequential_vae needs a model with steps, got LatentVariableModel. Use "vae"'):
        gx.sequential_vae(model, bound="fivo", num_particles=2)
