"""The infinite mixture from the prior: the exact mean of what it raises, its gradients, and a known maximum."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import genjax_models as gx
from genjax_models.estimators.distributions import diagonal_normal
from genjax_models.evaluation.quadrature import quadrature_log_likelihood
from genjax_models.models.generator import GeneratorModel, generator_model
from genjax_models.objectives.infinite_mixture import infinite_mixture
from genjax_models.types import Batch
from tests.statistics import assert_mean

# z ~ N(0, 1), x | z ~ N(1.5 z - 0.25, 0.5), at x = 1.7: E[log 1/M sum_i p(x | z_i)] by M.
PARAMETERS = {"w": jnp.float32(1.5), "b": jnp.float32(-0.25), "log_s2": jnp.log(0.5)}
LOG_P = -2.116102625407549
EXPECTED = {1: -6.62486494292461, 10: -2.2648280843111497, 100: -2.127537720298862, 1000: -2.1172250580255128}
MODEL = GeneratorModel(
    init=lambda key, batch: {"params": PARAMETERS},
    prior=lambda variables: diagonal_normal(jnp.zeros(1), jnp.ones(1)),
    likelihood=lambda variables, z: line(variables["params"], z),
)


def line(p, z):
    return diagonal_normal(p["w"] * z + p["b"], jnp.broadcast_to(jnp.exp(p["log_s2"] / 2), z.shape))


def log_likelihood(key, num_samples, x=(1.7,), parameters=PARAMETERS):
    loss = infinite_mixture(MODEL, num_samples=num_samples).losses["infinite_mixture"]
    value, aux = loss({"infinite_mixture": {"params": parameters}}, key, Batch(jnp.array(x)[:, None]), jnp.int32(0))
    return -value, aux.metrics["log_likelihood"]


def repeat(function, repeats):
    return jax.lax.map(function, jax.random.split(jax.random.key(0), repeats), batch_size=500)


@pytest.mark.parametrize("num_samples", EXPECTED)
def test_what_is_raised_has_the_exact_mean(num_samples):
    value, reported = repeat(lambda key: log_likelihood(key, num_samples), 20_000)
    assert_mean(value, EXPECTED[num_samples])
    np.testing.assert_array_equal(value, reported)


def test_the_misprint_with_1_over_m_outside_the_log_is_seen():
    """Whose mean is E[log p(x | z)] = -6.62 for every M."""
    z = jax.random.normal(jax.random.key(0), (20_000, 10, 1))
    with pytest.raises(AssertionError):
        assert_mean(jnp.mean(line(PARAMETERS, z).log_prob(jnp.array([1.7])), axis=1), EXPECTED[10])


def test_with_many_samples_the_gradient_is_that_of_log_p():
    """Low by about R / 2M too, R = 2.2: 1e-3 at M = 1,000."""

    def exact(p):
        variance = p["w"] ** 2 + jnp.exp(p["log_s2"])
        return -0.5 * (jnp.log(2 * jnp.pi * variance) + (1.7 - p["b"]) ** 2 / variance)

    np.testing.assert_allclose(exact(PARAMETERS), LOG_P, rtol=1e-6)
    expected = jax.grad(exact)(PARAMETERS)
    gradient = jax.grad(lambda p, key: log_likelihood(key, 1_000, parameters=p)[0])
    seen = repeat(lambda key: gradient(PARAMETERS, key), 2_000)
    for name in PARAMETERS:
        assert_mean(seen[name], expected[name], float_error=3e-3)
    of_one_sample = jax.grad(lambda p, key: log_likelihood(key, 1, parameters=p)[0])
    seen = repeat(lambda key: of_one_sample(PARAMETERS, key), 2_000)
    with pytest.raises(AssertionError):  # of the bound E[log p(x | z)], it is another
        assert_mean(seen["b"], expected["b"], float_error=3e-3)


def test_the_batch_shares_the_latents_of_a_step():
    """Copies of an example have one value, and the mean is over examples that see the same components."""
    key = jax.random.key(3)
    alone = [log_likelihood(key, 10, (x,))[0] for x in (1.7, -0.5)]
    assert alone[0] != alone[1]
    np.testing.assert_allclose(log_likelihood(key, 10, (1.7,) * 5)[0], alone[0], rtol=1e-6)
    np.testing.assert_allclose(log_likelihood(key, 10, (1.7, -0.5))[0], np.mean(alone), rtol=1e-6)


@pytest.mark.parametrize("num_samples", [0, True, 2.0])
def test_what_is_no_number_of_samples_is_refused(num_samples):
    with pytest.raises(ValueError, match="integer of at least 1"):
        infinite_mixture(MODEL, num_samples=num_samples)


# Eight points in three dimensions: the maximum of the likelihood of a linear generator with one latent and one global
# sigma is that of probabilistic PCA, known from the eigenvalues of the data's covariance.
POINTS = jnp.array([
    [0.0, 0.0, 1.0], [1.0, 2.0, 0.0], [2.0, 1.0, -1.0], [-1.0, 0.5, 2.0],
    [0.5, -1.5, 0.5], [3.0, 2.5, -2.0], [-2.0, -1.0, 1.5], [0.5, 0.5, 0.0],
])  # fmt: skip
BEST, BEST_VARIANCE, BEST_MEAN = -4.051220440915058, 0.3817251901096296, [0.5, 0.5, 0.25]
BEST_W = np.array([-1.3760545669822923, -1.0119342828720914, 1.1179388469439786])  # up to its sign


@pytest.mark.slow
def test_a_linear_generator_learns_probabilistic_pca():
    likelihood = gx.gaussian((3,), "global")
    model = generator_model(gx.MLPGenerator(likelihood.outputs, ()), likelihood, 1)
    objective = infinite_mixture(model, num_samples=2_000)
    train = gx.trainer(objective, {"infinite_mixture": optax.adam(optax.cosine_decay_schedule(0.03, 2_000))})
    data = Batch(POINTS)
    state, _ = gx.loop_over_data(train, batch_size=8, chunk=2_000)(train.init(jax.random.key(0), data), data)
    variables = state.variables["infinite_mixture"]
    exact = quadrature_log_likelihood(model, variables, POINTS, nodes=401)
    assert BEST - 0.005 < exact["log_likelihood"].mean() < BEST + 1e-5
    b = model.generate(variables, jnp.zeros(1))
    w = model.generate(variables, jnp.ones(1)) - b
    np.testing.assert_allclose(b, BEST_MEAN, atol=0.03)
    np.testing.assert_allclose(w * np.sign(w[2]), BEST_W, atol=0.05)
    sigma = model.likelihood(variables, jnp.zeros(1)).vectors.distribution.scale
    np.testing.assert_allclose(sigma**2, BEST_VARIANCE, atol=0.02)
    assert objective.sample(state.variables, jax.random.key(1), 5).shape == (5, 3)
