"""Figures of held-out data: exact if the model is exact, and the same for every batch size."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import genjax_models as gx
from genjax_models.estimators.distributions import FullCovarianceNormal, diagonal_normal
from genjax_models.evaluation.annealed import annealed_log_likelihood
from genjax_models.evaluation.bounds import held_out_bound
from genjax_models.evaluation.estimates import estimate
from genjax_models.evaluation.examples import map_examples
from genjax_models.evaluation.gaps import bound_gaps
from genjax_models.evaluation.information import latent_information
from genjax_models.evaluation.latents import latent_usage
from genjax_models.evaluation.likelihood import negative_log_likelihood
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.evaluation.reconstruction import held_out_error
from genjax_models.models import LatentVariableModel, autoencoder_model, latent_variable_model
from genjax_models.networks import MLPEncoder, MLPGenerator
from genjax_models.types import Batch

KEY = jax.random.key(0)
N, SIZES = 23, (1, 7, 500)  # ragged at 7
W = np.diag([1.5, 0.8, 0.05])  # x | z ~ N(W z, 0.6 I): q(z | x) factorises, and the last dimension is hardly used
S2 = 0.6
VARIANCE = 1 / (1 + np.diag(W) ** 2 / S2)  # of the true posterior; its mean is GAIN x
GAIN = VARIANCE * np.diag(W) / S2
X = np.random.RandomState(0).normal(size=(N, 3)).astype(np.float32)
LOG_P = stats.multivariate_normal.logpdf(X, np.zeros(3), W @ W.T + S2 * np.eye(3))


def linear_gaussian(full_covariance=False):
    """A model whose q has the true mean times `variables["gain"]`, so that 1 makes every bound tight."""

    def posterior(variables, x, label=None):
        mean, scale = variables["gain"] * GAIN * x, jnp.broadcast_to(jnp.float32(np.sqrt(VARIANCE)), x.shape)
        if full_covariance:
            return FullCovarianceNormal(mean, scale[..., None] * jnp.eye(3))
        return diagonal_normal(mean, scale)

    return LatentVariableModel(
        init=lambda key, batch: {"gain": 1.0},
        posterior=posterior,
        prior=lambda variables, label=None: diagonal_normal(jnp.zeros(3), jnp.ones(3)),
        likelihood=lambda variables, z, label=None: diagonal_normal(z @ W.T, jnp.full(z.shape, np.sqrt(S2))),
    )


@partial(jax.jit, static_argnames=("num_samples", "form", "batch_size"))
def bound(x=X, gain=1.0, key=KEY, **options):
    return held_out_bound(linear_gaussian(), {"gain": gain}, key, jnp.asarray(x), **options)


def assert_same_for_every_size(function):
    """Equal to 1e-5, relative to the largest figure of its kind."""
    first, *others = (function(size) for size in SIZES)
    for other in others:
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * float(jnp.max(jnp.abs(a)))),
            first,
            other,
        )


@pytest.mark.parametrize("form", ["kl", "monte_carlo"])
def test_fault_09_the_bound_does_not_depend_on_the_batch_size(form):
    assert_same_for_every_size(lambda size: bound(gain=0.5, form=form, num_samples=2, batch_size=size))


def test_noise_that_follows_the_chunk_would_be_detected():
    chunks = [bound(X[:12], gain=0.5)["bound"], bound(X[12:], gain=0.5)["bound"]]
    with pytest.raises(AssertionError):
        assert_same_for_every_size(lambda size: jnp.concatenate(chunks) if size == 7 else bound(gain=0.5)["bound"])


def test_the_bound_is_log_p_where_q_is_the_posterior():
    terms = bound(form="monte_carlo")
    np.testing.assert_allclose(terms["bound"], LOG_P, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(terms["bound"], terms["reconstruction"] - terms["kl"], rtol=1e-5, atol=1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(bound(gain=0.9, form="monte_carlo")["bound"], LOG_P, rtol=1e-5, atol=1e-5)


def test_each_example_draws_noise_of_its_own():
    same = bound(np.repeat(X[:1], 5, axis=0))["bound"]
    assert len(set(np.asarray(same).tolist())) == 5
    np.testing.assert_allclose(bound()["bound"][:5], bound(X[:5])["bound"], rtol=1e-5)
    assert jnp.all(bound(key=jax.random.key(1))["bound"] != bound()["bound"])


@pytest.fixture(scope="module")
def usage():
    return latent_usage(linear_gaussian(), {"gain": 1.0}, jnp.asarray(X), batch_size=7)


def test_latent_usage_does_not_depend_on_the_batch_size():
    model = linear_gaussian()
    assert_same_for_every_size(lambda size: latent_usage(model, {"gain": 1.0}, jnp.asarray(X), batch_size=size))


def test_latent_usage_is_that_of_the_exact_posterior(usage):
    np.testing.assert_allclose(usage.means, GAIN * X, rtol=1e-5)
    np.testing.assert_allclose(usage.activity, np.var(GAIN * X, axis=0), rtol=1e-4)
    np.testing.assert_array_equal(usage.active, [True, True, False])
    kl = 0.5 * (VARIANCE + (GAIN * X) ** 2 - 1 - np.log(VARIANCE))
    np.testing.assert_allclose(usage.kl_by_dimension, kl.mean(axis=0), rtol=1e-3)


def test_kl_by_dimension_sums_to_the_kl(usage):
    assert float(jnp.sum(usage.kl_by_dimension)) == pytest.approx(float(jnp.mean(bound()["kl"])), rel=1e-5)


@pytest.mark.parametrize("batch_size", [7, 500])
def test_a_full_covariance_has_no_kl_by_dimension(batch_size, usage):
    model = linear_gaussian(full_covariance=True)
    of_full = latent_usage(model, {"gain": 1.0}, jnp.asarray(X), batch_size=batch_size)
    assert of_full.kl_by_dimension is None
    np.testing.assert_allclose(of_full.means, usage.means, rtol=1e-5)
    np.testing.assert_array_equal(of_full.active, usage.active)


def test_a_unit_is_active_from_a_variance_of_one_hundredth():
    deviations = np.sqrt(np.array([0.0099, 0.0101, 0.0, 1.0]), dtype=np.float32)
    x = np.stack([5 - deviations, 5 + deviations])  # a mean far from zero is not activity
    model = linear_gaussian()._replace(
        posterior=lambda variables, x, label=None: diagonal_normal(x, jnp.ones(x.shape)),
        prior=lambda variables, label=None: diagonal_normal(jnp.zeros(4), jnp.ones(4)),
    )
    np.testing.assert_array_equal(latent_usage(model, {}, jnp.asarray(x)).active, [False, True, False, True])


def test_the_error_is_the_squared_distance_whatever_the_batch_size():
    x = jax.random.normal(KEY, (N, 3, 2))
    model = autoencoder_model(MLPEncoder((3, 2), (2,), hidden=()), MLPGenerator((3, 2), hidden=()), 2)
    encoder, generator = np.random.RandomState(1).normal(size=(2, 6, 2)).astype(np.float32)
    layer = lambda kernel: {"x": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(kernel.shape[1])}}
    variables = {"params": {"encoder": layer(encoder), "generator": layer(generator.T)}}
    assert_same_for_every_size(lambda size: held_out_error(model, variables, KEY, x, batch_size=size))
    flat = np.asarray(x, np.float64).reshape(N, 6)
    expected = ((flat - flat @ encoder @ generator.T) ** 2).sum(axis=1)
    np.testing.assert_allclose(held_out_error(model, variables, KEY, x)["squared_error"], expected, rtol=1e-4)


@pytest.mark.slow
def test_held_out_figures_are_in_judging_mode():
    """Networks with dropout have exactly the figures of the same networks without dropout."""

    def figures(dropout):
        encoder = partial(MLPEncoder, (3,), hidden=(5,), dropout=dropout)
        generator = partial(MLPGenerator, hidden=(5,), dropout=dropout)
        posterior, likelihood = gx.diagonal_gaussian(2), gx.bernoulli((3,))
        networks = encoder(posterior.outputs), posterior, generator(likelihood.outputs), likelihood
        model, autoencoder = latent_variable_model(*networks), autoencoder_model(encoder((2,)), generator((3,)), 2)
        x = jnp.asarray(X[:4] > 0, jnp.float32)
        variables, encoded = (jax.jit(one.init)(KEY, Batch(x)) for one in (model, autoencoder))
        nll = negative_log_likelihood(model, variables, KEY, x, num_samples=30)
        log_p = -nll["negative_log_likelihood"]
        return {
            "bound": held_out_bound(model, variables, KEY, x),
            "nll": nll,
            "usage": latent_usage(model, variables, x),
            "information": latent_information(model, variables, KEY, x),
            "gaps": bound_gaps(model, variables, KEY, x, log_p, steps=2, num_samples=10),
            "annealed": annealed_log_likelihood(
                model, variables, KEY, x, start="encoder", num_temperatures=3, num_chains=2
            ),
            "quadrature": quadrature_log_likelihood(model, variables, x, nodes=5),
            "autoencoder": held_out_error(autoencoder, encoded, KEY, x),
        }

    chex.assert_trees_all_equal(figures(0.9), figures(0.0))


@pytest.mark.parametrize("batch_size", SIZES)
def test_every_example_is_mapped_once_and_in_order(batch_size):
    function = lambda key, x: {"x": x, "key": jax.random.key_data(key)}
    mapped = map_examples(function, KEY, jnp.asarray(X), batch_size=batch_size)
    np.testing.assert_array_equal(mapped["x"], X)
    keys = [jax.random.key_data(jax.random.fold_in(KEY, i)) for i in range(N)]
    np.testing.assert_array_equal(mapped["key"], keys)


@pytest.mark.parametrize(
    ("n", "batch_size", "message"),
    [(0, 5, "needs at least one example"), (3, 0, "must be at least 1, got 0"), (3, -1, "must be at least 1, got -1")],
)
def test_no_examples_and_batch_sizes_below_one_are_refused(n, batch_size, message):
    with pytest.raises(ValueError, match=message):
        map_examples(lambda key, x: x, KEY, jnp.zeros((n, 2)), batch_size=batch_size)


def test_an_estimate_has_its_mean_and_standard_error():
    one = estimate(jnp.array([1.0, 2.0, 3.0, 6.0]))
    assert (one.value, one.n, one.m) == (3.0, 4, None)
    assert one.standard_error == pytest.approx(stats.sem([1.0, 2.0, 3.0, 6.0]))
    assert one.standard_error != pytest.approx(np.std([1.0, 2.0, 3.0, 6.0]) / 2)  # the mistake of n in place of n - 1
    assert str(one) == "3.00 +- 1.08"


def test_an_estimate_is_summed_in_float64():
    assert estimate(jnp.array([1e9, 1.0, -1e9])).value == pytest.approx(1 / 3)


def test_one_example_has_no_standard_error():
    assert np.isnan(estimate(jnp.array([2.5])).standard_error)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros((2, 3)), np.float32(1)])
def test_values_that_are_not_a_vector_are_refused(values):
    with pytest.raises(ValueError, match=r"`values` must be \[n\] with n at least 1, got shape"):
        estimate(values)
