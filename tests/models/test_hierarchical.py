"""Several stochastic layers: a linear-Gaussian chain whose evidence and posterior are known."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import genjax_models as gx
from genjax_models.estimators.importance import log_weights
from genjax_models.types import Batch

# x | z_1 ~ N(A z_1 + a, 0.5^2 I_3), z_1 | z_2 ~ N(B z_2 + b, diag(S)^2), z_2 ~ N(0, I_1).
RANDOM = np.random.RandomState(0)
A, a = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=3)
B, b, S = RANDOM.normal(size=(2, 1)), RANDOM.normal(size=2), np.array([0.6, 0.9])
NOISE = 0.5
X = RANDOM.normal(size=(4, 3)).astype(np.float32)
MEAN_1, COVARIANCE_1 = b, B @ B.T + np.diag(S**2)
MEAN_X, COVARIANCE_X = A @ b + a, A @ COVARIANCE_1 @ A.T + NOISE**2 * np.eye(3)
LOG_P = stats.multivariate_normal.logpdf(X, MEAN_X, COVARIANCE_X)
KEY = jax.random.key(0)


def linear(weights, bias, scale=None):
    """Params of a network without hidden layers that emits mean weights h + bias, and a scale the same for all h."""
    params = {"mean": {"kernel": np.float32(weights.T), "bias": np.float32(bias)}}
    if scale is not None:
        raw = np.log(np.expm1(scale - 1e-4))
        params["raw_scale"] = {"kernel": np.zeros(weights.T.shape, np.float32), "bias": np.float32(raw)}
    return params


@pytest.fixture(scope="module")
def model():
    x, z_1, z_2 = gx.gaussian((3,), NOISE), gx.diagonal_gaussian(2), gx.diagonal_gaussian(1)
    full = gx.full_covariance_gaussian(2)  # q(z_1 | x) as the exact posterior wants it
    encoders = gx.MLPEncoder((3,), full.outputs, ()), gx.MLPEncoder((2,), z_2.outputs, ())
    generators = gx.MLPGenerator(x.outputs, ()), gx.MLPGenerator(z_1.outputs, ())
    return gx.hierarchical_model(encoders, (full, z_2), generators, (x, z_1))


@pytest.fixture(scope="module")
def variables():
    """The model above, with the encoder that is its exact posterior q(z_1 | x) q(z_2 | z_1)."""
    precision = np.linalg.inv(COVARIANCE_1) + A.T @ A / NOISE**2
    covariance = np.linalg.inv(precision)
    weights = covariance @ A.T / NOISE**2
    bias = covariance @ (np.linalg.inv(COVARIANCE_1) @ MEAN_1 - A.T @ a / NOISE**2)
    factor = np.linalg.cholesky(covariance)[np.tril_indices(2)]
    raw = np.where([True, False, True], np.log(np.expm1(np.abs(factor) - 1e-4)), factor)
    below = linear(weights, bias) | {"raw_factor": {"kernel": np.zeros((3, 3), np.float32), "bias": np.float32(raw)}}
    top = 1 / (1 + B[:, 0] @ (B[:, 0] / S**2))
    gain = top * (B / S[:, None] ** 2).T
    above = linear(gain, -gain @ b, np.sqrt([top]))
    params = {"encoders_0": below, "encoders_1": above}
    return {"params": params | {"generators_0": linear(A, a), "generators_1": linear(B, b, S)}}


def test_variables_have_the_names_and_shapes_that_init_gives(model, variables):
    init = jax.eval_shape(model.init, KEY, Batch(X))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, init)


def test_with_the_exact_posterior_every_weight_is_the_evidence(model, variables):
    posterior, prior = model.posterior(variables, X), model.prior(variables)
    z = posterior.sample(seed=KEY, sample_shape=6)
    assert [layer.shape for layer in z] == [(6, 4, 2), (6, 4, 1)]
    weights = jax.jit(lambda z: log_weights(z, X, posterior, prior, partial(model.likelihood, variables)))(z)
    np.testing.assert_allclose(weights, np.tile(LOG_P, (6, 1)), rtol=2e-5)


def test_the_prior_draws_from_the_top_down(model, variables):
    z_1, z_2 = model.prior(variables).sample(seed=KEY, sample_shape=20_000)
    np.testing.assert_allclose(np.mean(z_1, axis=0), MEAN_1, atol=5 * np.sqrt(COVARIANCE_1.max() / 20_000))
    np.testing.assert_allclose(np.cov(z_1.T), COVARIANCE_1, atol=0.1)  # standard errors of 0.01 to 0.02
    np.testing.assert_allclose(np.mean(z_1 * z_2, axis=0), B[:, 0], atol=0.1)
    np.testing.assert_allclose(model.prior(variables).event_shape, ((2,), (1,)))


def test_samples_have_the_moments_of_p(model, variables):
    x = model.sample(variables, KEY, 20_000)
    np.testing.assert_allclose(np.mean(x, axis=0), MEAN_X, atol=5 * np.sqrt(COVARIANCE_X.max() / 20_000))
    np.testing.assert_allclose(np.cov(x.T), COVARIANCE_X, atol=0.07 * COVARIANCE_X.max())  # seven standard errors


@pytest.mark.slow
def test_the_negative_log_likelihood_is_that_of_the_model_from_a_poor_encoder(model, variables):
    """With the prior's scales for q, weights vary: 5,000 of them come within a few hundredths."""
    poor = {"params": {**variables["params"], "encoders_1": linear(np.zeros((1, 2)), np.zeros(1), np.ones(1))}}
    nll = jax.jit(lambda x: gx.negative_log_likelihood(model, poor, KEY, x))(X)["negative_log_likelihood"]
    assert np.all(np.abs(nll + LOG_P) < 0.1)
    assert np.any(np.abs(nll + LOG_P) > 1e-4)


def test_layers_that_do_not_fit_are_refused():
    x, two, one = gx.gaussian((3,), 1.0), gx.diagonal_gaussian(2), gx.diagonal_gaussian(1)
    networks = (None, None)
    with pytest.raises(ValueError, match=r"q has layers of \[\(1,\)\] numbers below the last, p has \[\(2,\)\]"):
        gx.hierarchical_model(networks, (one, one), networks, (x, two))
    with pytest.raises(ValueError, match=r"a posterior, a generator and a likelihood, got \[2, 1, 2, 2\]"):
        gx.hierarchical_model(networks, (one,), networks, (x, two))
    with pytest.raises(ValueError, match=r"got \[0, 0, 0, 0\]"):
        gx.hierarchical_model((), (), (), ())


def test_the_closed_kl_is_refused_by_name(model, variables):
    with pytest.raises(ValueError, match='form="kl" needs a closed KL'):
        gx.elbo(KEY, X, model.posterior(variables, X), model.prior(variables), partial(model.likelihood, variables))


def test_a_conditional_model_sees_the_class_in_every_network():
    x, z_1, z_2 = gx.gaussian((3,), 1.0), gx.diagonal_gaussian(2), gx.diagonal_gaussian(1)
    encoders = gx.MLPEncoder((3,), z_1.outputs, ()), gx.MLPEncoder((2,), z_2.outputs, ())
    generators = gx.MLPGenerator(x.outputs, ()), gx.MLPGenerator(z_1.outputs, ())
    model = gx.hierarchical_model(encoders, (z_1, z_2), generators, (x, z_1), classes=5)
    variables = jax.jit(model.init)(KEY, Batch(X))
    kernels = {name: params["mean"]["kernel"].shape[0] for name, params in variables["params"].items()}
    assert kernels == {"encoders_0": 3 + 5, "encoders_1": 2 + 5, "generators_0": 2 + 5, "generators_1": 1 + 5}
    label = jnp.arange(4)
    draw = partial(model.sample, variables, KEY, 4)
    assert jax.eval_shape(lambda: draw(label=label)).shape == (4, 3)
    bound = partial(gx.held_out_bound, model, variables, KEY, X, num_samples=3, form="monte_carlo")
    assert jax.eval_shape(lambda: bound(label=label))["bound"].shape == (4,)
    with pytest.raises(ValueError, match="a model conditional on one of 5 classes needs a label"):
        model.prior(variables).sample(seed=KEY, sample_shape=2)
