"""Bounds of sequential models on held-out sequences, and nats per step."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators.importance import log_mean_exp
from genjax_models.evaluation.sequential_bounds import held_out_filtering, ratio_of_totals
from genjax_models.types import Batch

A, C, Q, R = 0.9, 1.2, 0.3, 0.5  # z_t | z_{t-1} ~ N(A z_{t-1}, Q), x_t | z_t ~ N(C z_t, R), z_1 ~ N(0, 1)
X = np.array([[0.8, -0.3, 1.5, 0.2, -1.1], [-0.8, 0.3, -1.5, np.nan, np.nan]], np.float32)[..., None]
LENGTH = np.array([5, 3])
LOG_P = np.array([-7.7496026921472705, -4.635304478626413])
PER_STEP = -1.5481133963467104  # sum / sum
NOT_PER_STEP = {
    "mean of ratios": (-1.5475110156524625, lambda bound, length: jnp.mean(bound / length)),
    "padded steps": (-1.2384907170773682, lambda bound, length: ratio_of_totals(bound, jnp.full_like(length, 5))[0]),
}


SCALES = {"transition_scale": math.sqrt(Q), "emission_scale": math.sqrt(R)}


def linear_gaussian(q):
    return gx.linear_gaussian_model(steps=5, transition=A, emission=C, proposal=q, **SCALES)


VARIABLES = linear_gaussian("filter").init(jax.random.key(0), Batch(X))


SETTINGS = {"num_particles": 4, "criterion": "always"}


@pytest.fixture(scope="module")
def filtered():
    run = partial(held_out_filtering, linear_gaussian("filter"), VARIABLES, jax.random.key(1), **SETTINGS)
    return jax.jit(lambda x, length: run(x, length=length))(X, LENGTH)


def test_with_the_smoothing_proposal_each_bound_without_resampling_is_exact():
    run = partial(held_out_filtering, linear_gaussian("smoothing"), VARIABLES, jax.random.key(0), num_particles=3)
    found = jax.jit(lambda x, length: run(x, length=length, bounds=("elbo", "iwae")))(X, LENGTH)
    for terms in found.values():
        np.testing.assert_allclose(terms.bound, LOG_P, rtol=1e-6)
        np.testing.assert_allclose(terms.per_step[0], PER_STEP, rtol=1e-6)
        np.testing.assert_allclose(terms.effective_sample_size[:, -1], 3, rtol=1e-4)  # all weights are p(x)


def test_the_terms_belong_together(filtered):
    elbo, iwae, fivo = (filtered[name] for name in ("elbo", "iwae", "fivo"))
    np.testing.assert_allclose(elbo.bound, iwae.log_weights[:, -1].mean(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(iwae.bound, log_mean_exp(iwae.log_weights[:, -1].T), rtol=1e-6)
    assert (elbo.bound < iwae.bound).all()
    assert not iwae.resampled.any()
    np.testing.assert_array_equal(fivo.resampled.sum(axis=1), LENGTH - 1)
    assert (fivo.bound != iwae.bound).any()
    for terms in (elbo, iwae, fivo):
        np.testing.assert_array_equal(terms.mask.sum(axis=1), LENGTH)
        np.testing.assert_array_equal(terms.evidence[:, -1], terms.bound)
        np.testing.assert_array_equal(terms.evidence[1, 2], terms.bound[1])
        np.testing.assert_array_equal(terms.kl[1, 3:], 0)
        sizes = np.asarray(terms.effective_sample_size)[np.asarray(terms.mask)]
        np.testing.assert_allclose(terms.mean_effective_sample_size, sizes.mean(), rtol=1e-6)
        assert sizes.min() >= 1
        assert sizes.max() <= 4.0001
        assert terms.log_weights.shape == terms.ancestors.shape == (2, 5, 4)


def test_every_setting_reaches_the_filter(monkeypatch):
    settings = {"num_particles": 3, "criterion": "always", "resampling": "systematic"}
    seen = []
    watched = lambda *inputs, **options: seen.append(options) or gx.filtering_bound(*inputs, **options)
    monkeypatch.setitem(held_out_filtering.__globals__, "filtering_bound", watched)
    for criterion in ("always", "ess"):
        given = {**settings, "criterion": criterion, "bounds": ("iwae", "fivo")}
        run = partial(held_out_filtering, linear_gaussian("filter"), VARIABLES, jax.random.key(1), **given)
        jax.eval_shape(lambda x, length, run=run: run(x, length=length), X, LENGTH)
        assert {**settings, "criterion": criterion} in seen
        assert {"num_particles": 3, "criterion": "never"} in seen


def test_no_figure_depends_on_the_batch_size_or_on_longer_padding(filtered):
    longer = np.concatenate([X, np.full((2, 2, 1), np.nan, np.float32)], axis=1)
    longer, length = np.concatenate([longer, longer[:1]]), np.append(LENGTH, LENGTH[0])  # the first twice
    run = partial(held_out_filtering, linear_gaussian("filter"), VARIABLES, jax.random.key(1), **SETTINGS, batch_size=1)
    found = jax.jit(lambda x, length: run(x, length=length))(longer, length)
    for name, terms in found.items():
        assert terms.bound[2] != terms.bound[0]  # each example has draws of its own
        for value, exact in zip(terms, filtered[name], strict=True):
            exact, value = np.asarray(exact), np.asarray(value)[:2]
            np.testing.assert_allclose(value if value.ndim == 1 else value[:, :5], exact, rtol=1e-5, atol=1e-6)


def assert_is_per_step(value):
    np.testing.assert_allclose(value, PER_STEP, rtol=1e-6)


@pytest.mark.parametrize("mistake", NOT_PER_STEP)
def test_plausible_mistakes_of_nats_per_step_are_seen(mistake):
    exact, wrong = NOT_PER_STEP[mistake]
    value = wrong(jnp.asarray(LOG_P), jnp.asarray(LENGTH))
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    with pytest.raises(AssertionError):
        assert_is_per_step(value)


def test_nats_per_step_are_total_over_total():
    assert_is_per_step(ratio_of_totals(jnp.asarray(LOG_P), jnp.asarray(LENGTH))[0])
    random = np.random.RandomState(0)
    length = random.randint(1, 30, (2_000, 50))
    bound = -1.5 * length + random.normal(size=length.shape) * np.sqrt(length)
    ratios, errors = jax.vmap(ratio_of_totals)(jnp.asarray(bound), jnp.asarray(length))
    spread = ratios.std()  # known to 1 / sqrt(4000)
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(errors**2)), spread, rtol=5 / np.sqrt(4_000))
    assert np.isnan(ratio_of_totals(jnp.ones(1), jnp.ones(1))[1])
    # Residuals of -3 + 2.2 and -8 + 8.8: sqrt(2 (0.64 + 0.64)) / 5.
    np.testing.assert_allclose(ratio_of_totals(jnp.array([-3.0, -8.0]), jnp.array([1, 4])), (-2.2, 0.32), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            {"model": gx.models.LatentVariableModel(len, len, len, len)},
            "needs a model with steps.* got LatentVariableModel",
        ),
        ({"bounds": ("elbo", "nll")}, r"bounds must be of .*, got \['nll'\]"),
        ({"num_particles": 0}, "num_particles must be an integer of at least 1, got 0"),
        ({"length": np.array([5, 6])}, "length must be from 1 to 5, got 6 in row 1"),
        ({"length": np.array([5.0, 3.0])}, "length must be 2 integers"),
        ({"x": np.where(X == -1.5, 1e30, X)}, "all weights are zero, or one is NaN, at step 2 of example 1$"),
    ],
)
def test_bad_input_is_refused(wrong, words):
    arguments = {"model": linear_gaussian("filter"), "x": X, "length": LENGTH, "num_particles": 2} | wrong
    with pytest.raises(ValueError, match=words):
        held_out_filtering(variables=VARIABLES, key=jax.random.key(0), **arguments)


@pytest.mark.parametrize("maker", [gx.variational_rnn, gx.deep_markov_model, gx.stochastic_rnn])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.3, "x must be 0 or 1 where it is observed, got 0.3"),
        (7.0, r"x must be in \[0, 1\], got 7.0 in row 1"),
        (np.nan, r"x must be in \[0, 1\], got nan in row 1"),
    ],
)
def test_a_bernoulli_likelihood_takes_bits_alone_but_any_padding(maker, value, words):
    x = np.array([[0, 1, 1], [1, value, np.nan]], np.float32)[..., None]
    model = maker(gx.bernoulli((1,)), steps=3, latent=1, hidden=2)
    variables = jax.eval_shape(model.init, jax.random.key(0), Batch(x))
    with pytest.raises(ValueError, match=words):
        held_out_filtering(model, variables, jax.random.key(0), x, length=np.array([3, 2]), num_particles=2)
