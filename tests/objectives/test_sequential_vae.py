"""The objective of sequential models: what it reports, what it raises, what it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
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


def test_every_setting_reaches_the_filter(monkeypatch):
    settings = {"num_particles": 3, "criterion": "always", "threshold": 0.9, "resampling": "stratified", "score": True}
    seen = []
    watched = lambda *inputs, **options: seen.append(options) or gx.filtering_bound(*inputs, **options)
    monkeypatch.setitem(gx.sequential_vae.__globals__, "filtering_bound", watched)
    loss = gx.sequential_vae(MODEL, bound="fivo", **settings).losses["sequential_vae"]
    jax.eval_shape(loss, PLAYERS, KEY, BATCH, jnp.int32(0))
    assert seen == [settings]


def test_a_trainer_takes_any_padding_and_refuses_true_steps_that_are_not_finite():
    trainer = gx.trainer(gx.sequential_vae(MODEL), optax.sgd(0.1))
    state = trainer.init(KEY, BATCH)
    jax.eval_shape(lambda state: trainer.step(state, BATCH), state)
    wrong = BATCH._replace(length=jnp.array([3, 2]))
    for call in (lambda: trainer.init(KEY, wrong), lambda: trainer.step(state, wrong)):
        with pytest.raises(ValueError, match=r"batch\.x must be finite, got nan in row 1"):
            call()


def test_at_the_smoothing_posterior_the_iwae_bound_is_log_p():
    model = gx.linear_gaussian_model(steps=3, proposal="smoothing")
    exact = kalman_log_likelihood(PLAYERS["sequential_vae"], X, BATCH.length)[:, -1]
    np.testing.assert_allclose(loss_of(model=model, bound="iwae", num_particles=2)[0], -exact.mean(), rtol=1e-6)


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
    with pytest.raises(ValueError, match="needs a model with steps, got LatentVariableModel"):
        gx.sequential_vae(model, bound="fivo", num_particles=2)
