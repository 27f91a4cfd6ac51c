"""Noise on the generator's output, and the density that it gives, where p(x) = N(b, W W' + sigma^2 I) is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import genjax_models as gx
from genjax_models.estimators import annealing
from genjax_models.estimators.annealing_path import linear_schedule
from genjax_models.estimators.importance import log_mean_exp, log_weights
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.models.adversarial import adversarial_pair
from genjax_models.models.gaussian_noise import with_gaussian_noise
from genjax_models.models.implicit import implicit_model
from genjax_models.types import Batch
from tests.statistics import STANDARD_ERRORS, assert_mean

KEY = jax.random.key(0)
# z ~ N(0, I_2), x = W z + b + eps / 2, by row of X.
W, B = np.array([[1.0, -0.5], [0.3, 0.8], [-0.7, 0.2]]), np.array([0.1, -0.2, 0.3])
SIGMA = 0.5
X = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -0.75]], np.float32)
LOG_P = np.array([-7.668093387249674, -2.5943862751160305, -3.3264759020040966])
COVARIANCE = W @ W.T + SIGMA**2 * np.eye(3)
LINEAR = {"params": {"x": {"kernel": jnp.asarray(W.T, jnp.float32), "bias": jnp.asarray(B, jnp.float32)}}}
PLAYERS = {"generator": LINEAR, "discriminator": {}}


def pair_of(**options):
    return adversarial_pair(gx.MLPGenerator((3,), ()), gx.MLPDiscriminator((3,), ()), 2, **options)


DENSITY = pair_of(output_noise=SIGMA).density


def exact(kernel, bias, sigma):
    covariance = kernel.T @ kernel + sigma**2 * jnp.eye(3)
    return jax.scipy.stats.multivariate_normal.logpdf(X, bias, covariance)


@pytest.mark.slow
def test_quadrature_of_the_density_is_exact_in_value_and_gradient():
    def quadrature(params):
        return quadrature_log_likelihood(DENSITY, {"params": params}, X, nodes=101)["log_likelihood"]

    np.testing.assert_allclose(quadrature(LINEAR["params"]), LOG_P, atol=1e-5)
    found = jax.grad(lambda params: quadrature(params).sum())(LINEAR["params"])["x"]
    kernel, bias = jax.grad(lambda k, b: exact(k, b, SIGMA).sum(), (0, 1))(*LINEAR["params"]["x"].values())
    np.testing.assert_allclose(found["kernel"], kernel, atol=2e-4)
    np.testing.assert_allclose(found["bias"], bias, atol=2e-4)


def test_importance_sampling_from_the_prior_is_unbiased():
    prior, likelihood = DENSITY.prior(LINEAR), lambda z: DENSITY.likelihood(LINEAR, z)
    z = prior.sample(seed=KEY, sample_shape=(40_000, 1))
    weights = log_weights(jnp.broadcast_to(z, (40_000, 3, 2)), X, prior, prior, likelihood)
    assert_mean(np.exp(weights - LOG_P), np.ones(3), float_error=1e-5)
    np.testing.assert_allclose(log_mean_exp(weights), LOG_P, atol=0.3)


def test_annealing_from_the_prior_is_exact_where_it_is_slow():
    chains = annealing.annealed_importance_sampling(
        KEY,
        X,
        DENSITY.prior(LINEAR),
        lambda z: DENSITY.likelihood(LINEAR, z),
        num_chains=400,
        schedule=linear_schedule(60),
        step_size=0.3,
        num_leapfrog=3,
    )
    assert_mean(np.exp(chains.log_weights - LOG_P), np.ones(3))


def test_draws_have_the_densitys_mean_and_covariance_and_are_those_of_the_pair():
    x = DENSITY.sample(LINEAR, KEY, 50_000)
    assert_mean(x, B)
    centred = np.asarray(x) - B
    assert_mean(np.einsum("ni,nj->nij", centred, centred), COVARIANCE)
    np.testing.assert_allclose(pair_of(output_noise=SIGMA).sample(PLAYERS, KEY, 50_000), x, rtol=1e-5, atol=1e-6)


def test_the_discriminator_sees_the_noise_while_it_learns():
    quiet, noisy = (
        pair_of(output_noise=scale).generate(PLAYERS, KEY, Batch(jnp.zeros((20_000, 3))))[0] for scale in (0.0, SIGMA)
    )
    assert_mean((noisy - quiet) ** 2, np.full(3, SIGMA**2))
    np.testing.assert_allclose(noisy, pair_of(output_noise=SIGMA).sample(PLAYERS, KEY, 20_000), rtol=1e-5, atol=1e-6)
    fresh = np.corrcoef(np.ravel(noisy - quiet), np.ravel(quiet))[0, 1]  # noise is not the latents again
    assert abs(fresh) < STANDARD_ERRORS / np.sqrt(60_000)


@pytest.mark.slow
def test_images_labels_and_uniform_latents():
    pair = adversarial_pair(
        gx.MLPGenerator((4, 2, 1), (8,)),
        gx.MLPDiscriminator((4, 2, 1), ()),
        2,
        noise="uniform",
        output_noise=0.1,
        classes=3,
    )
    variables = pair.init(KEY, Batch(jnp.zeros((1, 4, 2, 1))))["generator"]
    x = pair.density.sample(variables, KEY, 5, label=jnp.arange(5) % 3)
    assert x.shape == (5, 4, 2, 1)
    prior = pair.density.prior(variables)
    z = prior.sample(seed=KEY, sample_shape=(7, 5))
    assert np.abs(z).max() <= 1
    np.testing.assert_allclose(prior.log_prob(z), np.full((7, 5), -2 * np.log(2)), rtol=1e-6)
    likelihoods = pair.density.likelihood(variables, z, jnp.arange(5) % 3)
    means = likelihoods.mean()
    expected = -((x - means) ** 2).sum((-1, -2, -3)) / 2 / 0.1**2 - 8 * np.log(0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(likelihoods.log_prob(x), expected, rtol=1e-4)
    with pytest.raises(ValueError, match="conditional on one of 3 classes"):
        pair.density.likelihood(variables, z)


def test_the_scale_may_be_traced():
    def log_p(scale):
        return quadrature_log_likelihood(pair_of(output_noise=scale).density, LINEAR, X, nodes=101)["log_likelihood"]

    scales = jnp.array([0.5, 1.0])
    expected = [exact(*LINEAR["params"]["x"].values(), sigma) for sigma in (0.5, 1.0)]
    np.testing.assert_allclose(jax.jit(jax.vmap(log_p))(scales), expected, atol=1e-4)


def test_without_noise_there_is_no_density():
    assert pair_of().density is None
    assert pair_of(output_noise=0).density is None
    assert pair_of(output_noise=jnp.float32(0.5)).density is not None


@pytest.mark.parametrize("scale", [-0.1, float("nan"), float("inf"), True, "small"])
def test_what_is_no_scale_is_refused(scale):
    with pytest.raises(ValueError, match=f"must be positive and finite, got {scale!r}"):
        pair_of(output_noise=scale)


def test_a_model_made_noisy_by_itself_wants_some_noise():
    with pytest.raises(ValueError, match="must be positive and finite, got 0"):
        with_gaussian_noise(implicit_model(gx.MLPGenerator((3,), ()), 2), 0.0)
